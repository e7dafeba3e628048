//! Says what was observed: meaning, unit, source, time. No I/O, no opinions.
//!
//! One file is one family of facts; the same stem names its collector. A family is a type that
//! implements [`store::Fact`]; [`store::Facts`] keeps what was read for one question.
#![forbid(unsafe_code)]

pub mod address;
pub mod attempt;
pub mod bpf;
pub mod capture;
pub mod conntrack;
pub mod event;
pub mod flow;
pub mod host;
pub mod ipset;
pub mod link;
pub mod local_socket;
pub mod locus;
pub mod mib;
pub mod names;
pub mod neigh;
pub mod nfqueue;
pub mod nft;
pub mod path;
pub mod process;
pub mod question;
pub mod reading;
pub mod resolver;
pub mod route;
pub mod socket;
pub mod store;
pub mod sysctl;
pub mod tc;
pub mod tls;
pub mod xtables;

pub use flow::{Dev, Family, Flow, IpNet, Proto};
pub use locus::Locus;
pub use question::{Question, Role};
pub use reading::{Absence, Reading};
pub use store::{Fact, Facts, NetnsId};

/// Loads one kind from a recording.
pub(crate) type Load = fn(&mut Facts, NetnsId, &serde_json::Value) -> Result<(), serde_json::Error>;

macro_rules! kinds {
    ($($t:ty),* $(,)?) => {
        /// Every family of facts with the function that loads it from a recording.
        pub(crate) const KINDS: &[(&str, Load)] = &[$((<$t as Fact>::KIND, store::load_pair::<$t>)),*];
        /// Names of all families, for `netwhy facts`.
        pub const KIND_NAMES: &[&str] = &[$(<$t as Fact>::KIND),*];
    };
}

kinds!(
    address::Addresses,
    attempt::Attempts,
    bpf::BpfGaps,
    bpf::BpfPrograms,
    bpf::BpfTrials,
    capture::FlowCapture,
    conntrack::Conntrack,
    conntrack::CtEntries,
    event::KernelEvents,
    host::Host,
    host::KernelLog,
    host::Nics,
    host::Xfrm,
    ipset::Ipsets,
    link::Fdb,
    link::Links,
    mib::Mib,
    mib::Sockstat,
    mib::Softnet,
    names::NameAnswers,
    neigh::NeighTables,
    neigh::Neighbours,
    nfqueue::NfQueues,
    nft::Nft,
    path::NeighProbes,
    path::PathMtus,
    path::Paths,
    process::FileTable,
    process::Processes,
    resolver::Resolver,
    route::FibAnswers,
    route::Nexthops,
    route::Routes,
    route::Rules,
    socket::ForeignSockets,
    socket::Sockets,
    sysctl::Sysctls,
    tc::Tc,
    tls::HttpAnswers,
    tls::TlsHandshakes,
    xtables::Xtables,
);

#[cfg(test)]
mod tests {
    use super::*;

    /// The list above is kept by hand; this holds it against the `impl Fact` lines of the sources.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test reads the sources it checks")]
    fn every_family_is_listed() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut kinds = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for line in text.lines().filter(|l| l.trim_start().starts_with("const KIND: &'static str = \"")) {
                kinds.push(line.split('"').nth(1).unwrap().to_string());
            }
        }
        kinds.sort();
        let mut listed: Vec<String> = KIND_NAMES.iter().map(|k| k.to_string()).collect();
        listed.sort();
        assert_eq!(kinds, listed);
    }

    #[test]
    fn a_recording_gives_back_both_samples() {
        let mut facts = Facts::new();
        let mib = |n| mib::Mib([("Tcp.RetransSegs".to_string(), n)].into());
        facts.put(Reading::known(mib(3), "/proc/net/snmp", 1));
        facts.put_after(Reading::known(mib(5), "/proc/net/snmp", 2));
        facts.put::<nft::Nft>(Reading::denied("CAP_NET_ADMIN"));
        let back = Facts::from_json(&facts.to_json()).unwrap();
        assert_eq!(mib::Mib::grew(&back, "Tcp.RetransSegs"), Some(2));
        assert!(matches!(back.get::<nft::Nft>(), Reading::Denied { .. }));
        assert!(matches!(back.get::<link::Links>(), Reading::NotAsked));
        assert!(Facts::from_json(&serde_json::json!({"nonsense": {}})).is_err());
    }
}
