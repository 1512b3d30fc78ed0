//! The one composition root.

fn main() {}
