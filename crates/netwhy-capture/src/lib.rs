//! Delivers frames from AF_PACKET rings; builds kernel filters for one flow.
#![forbid(unsafe_code)]
