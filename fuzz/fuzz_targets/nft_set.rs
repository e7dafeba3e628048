//! Sets and elements of nftables, and ipsets with their members.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_collect::{ipset, nft};

fuzz_target!(|bytes: &[u8]| {
    let _ = (nft::set(bytes), nft::elements(bytes).count());
    let _ = ipset::add(&mut None, bytes, 100);
    let _ = ipset::member("hash:net,port,iface", bytes);
});
