//! Sockets as inet_diag and `/proc/net` tell of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_collect::socket;
use netwhy_facts::{Family, Proto};

fuzz_target!(|bytes: &[u8]| {
    let _ = (socket::socket(Proto::Tcp, bytes), socket::socket(Proto::Udp, bytes));
    let _ = netwhy_facts::socket::TcpInfo::from_kernel(bytes);
    let _ = std::str::from_utf8(bytes).map(|line| socket::proc_line(Proto::Tcp, Family::Inet6, line));
});
