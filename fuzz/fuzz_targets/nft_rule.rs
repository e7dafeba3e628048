//! Rules, chains, tables, objects and flowtables of nftables, and expressions by themselves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_collect::nft;

fuzz_target!(|bytes: &[u8]| {
    let _ = (nft::rule(bytes), nft::chain(bytes), nft::table(bytes), nft::object(bytes), nft::flowtable(bytes));
    let _ = (nft::expressions(bytes), nft::expression(bytes), nft::generation(bytes));
});
