//! The command line program `nightlatch`.
fn main() {}
