//! Entries and statistics of connection tracking.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_collect::conntrack;

fuzz_target!(|bytes: &[u8]| {
    let _ = (conntrack::entry(bytes), conntrack::stats(bytes));
    let _ = std::str::from_utf8(bytes).map(conntrack::parse_stats);
});
