//! Every interface that is linked, by name.
