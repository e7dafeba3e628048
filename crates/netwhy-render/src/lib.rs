//! Turns a report or a fact into text or JSON.
#![forbid(unsafe_code)]
