//! Legacy tables: the first bytes choose the family and place the hooks, the rest are the entries.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_collect::xtables::decode_table;
use netwhy_sys::xtables::{Family, Table};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[family, entry, underflow], entries)) = bytes.split_first_chunk() else { return };
    let family = [Family::Ipv4, Family::Ipv6, Family::Arp, Family::Bridge][usize::from(family % 4)];
    let at = |place: u8| u32::from(place) * 8;
    let table = Table {
        family,
        name: "filter".into(),
        valid_hooks: 0b10,
        hook_entry: vec![0, at(entry), 0, 0, 0],
        underflow: vec![0, at(underflow), 0, 0, 0],
        count: 1,
        entries: entries.to_vec(),
        counters: entries.to_vec(),
    };
    let _ = decode_table(&table, &|index| (index % 2 == 0).then(|| index.to_string()));
});
