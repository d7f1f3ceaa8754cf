mod arithmetic;
mod errors;
mod evaluation;
mod holds;
mod language;
mod laws;
mod lints;
mod missing;
