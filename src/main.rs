//! The `gaugecast` program; everything is in the library.

fn main() {}
