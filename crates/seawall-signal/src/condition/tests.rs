mod errors;
mod evaluation;
mod holds;
mod laws;
mod lints;
