//! Mining from outside: the rule by hand and by its laws, and files that are written, read back and
//! refused.

mod files;
mod rule;
