//! What a server sends to a ClientHello. Cutting it may make it incomplete, but never something else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_wire::tls::Reply;

fuzz_target!(|bytes: &[u8]| {
    let whole = Reply::parse(bytes);
    for cut in 0..bytes.len().min(300) {
        let part = Reply::parse(&bytes[..cut]);
        if part != Reply::Incomplete {
            assert_eq!(part, whole, "{cut}");
            break;
        }
    }
});
