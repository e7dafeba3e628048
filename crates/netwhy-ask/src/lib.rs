//! Fills facts by sending packets: names, connect, echo, path, MTU, TLS, HTTP.
#![forbid(unsafe_code)]
