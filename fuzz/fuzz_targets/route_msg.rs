//! Messages of rtnetlink: links, addresses, routes, rules, nexthops, neighbours, queueing disciplines, classes and
//! filters; and the files of name resolution.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_collect::{address, link, neigh, resolver, route, tc};
use netwhy_facts::resolver::Resolver;

fuzz_target!(|bytes: &[u8]| {
    let _ = (link::decode_link(bytes), link::decode_port_vlans(bytes), link::decode_fdb(bytes));
    let _ = (address::decode_address(bytes), neigh::decode_neighbour(bytes), neigh::decode_neigh_table(bytes));
    let _ = (route::decode_route(bytes), route::decode_rule(bytes), route::decode_nexthop(bytes));
    let _ = route::decode_answer(bytes);
    let _ = (tc::decode_qdisc(bytes), tc::decode_class(bytes), tc::decode_filter(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let mut out = Resolver::default();
        resolver::decode_resolv_conf(text, &mut out);
        resolver::decode_nsswitch(text, &mut out);
        resolver::decode_gai_conf(text, &mut out);
        resolver::decode_hosts(text, "db.example", &mut out);
    }
});
