//! Models of the links.
