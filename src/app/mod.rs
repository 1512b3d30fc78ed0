//! Use cases over ports.
