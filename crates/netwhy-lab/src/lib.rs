//! Breaks private network namespaces on purpose and scores the verdict.
#![forbid(unsafe_code)]
