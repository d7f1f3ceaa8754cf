//! Composable performance libraries for services that must stand up to a surge: the facade over the seawall crates.
