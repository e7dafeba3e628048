//! Asks the kernel one thing safely; the only crate with `unsafe`.
#![allow(unsafe_code)]
