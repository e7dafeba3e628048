//! Fills facts from the kernel.
#![forbid(unsafe_code)]
