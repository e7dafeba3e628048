//! The nftables ruleset as the kernel holds it: registers and expressions, not text.
//! Source: nfnetlink subsystem NF_TABLES (uapi linux/netfilter/nf_tables.h). Scope: namespace. Needs CAP_NET_ADMIN.
//!
//! Key numbers (meta, ct, fib …) are the kernel's own (NFT_META_*, NFT_CT_* …).

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// The ruleset of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Nft {
    /// Generation id (NFTA_GEN_ID): changes with every commit.
    pub generation: u32,
    /// Tables.
    pub tables: Vec<NftTable>,
    /// Chains in the kernel's order.
    pub chains: Vec<NftChain>,
    /// Rules in the order of their chain.
    pub rules: Vec<NftRule>,
    /// Sets and maps; elements of a set are read only when a rule refers to it.
    pub sets: Vec<NftSet>,
    /// Stateful objects: counters, quotas, limits, helpers.
    pub objects: Vec<NftObject>,
    /// Flowtables.
    pub flowtables: Vec<NftFlowtable>,
    /// Legacy tables at the same hook with the same priority run before these chains. The kernel runs what was
    /// registered last first and does not tell; set where counters showed it.
    #[serde(default)]
    pub legacy_first: bool,
}

impl Fact for Nft {
    const KIND: &'static str = "nft";
}

impl Nft {
    /// Rules of one chain, in order.
    pub fn rules_of<'a>(
        &'a self,
        family: NftFamily,
        table: &'a str,
        chain: &'a str,
    ) -> impl Iterator<Item = &'a NftRule> + 'a {
        self.rules.iter().filter(move |r| r.family == family && r.table == table && r.chain == chain)
    }
    /// A chain by name.
    pub fn chain(&self, family: NftFamily, table: &str, name: &str) -> Option<&NftChain> {
        self.chains.iter().find(|c| c.family == family && c.table == table && c.name == name)
    }
    /// A set by name.
    pub fn set(&self, family: NftFamily, table: &str, name: &str) -> Option<&NftSet> {
        self.sets.iter().find(|s| s.family == family && s.table == table && s.name == name)
    }
    /// A rule by handle.
    pub fn rule(&self, family: NftFamily, table: &str, handle: u64) -> Option<&NftRule> {
        self.rules.iter().find(|r| r.family == family && r.table == table && r.handle == handle)
    }
}

/// Family of a table (NFPROTO_*).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the words of nft(8)
pub enum NftFamily {
    #[default]
    Inet,
    Ip,
    Arp,
    Netdev,
    Bridge,
    Ip6,
}

impl NftFamily {
    /// From NFPROTO_*.
    pub fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            1 => Self::Inet,
            2 => Self::Ip,
            3 => Self::Arp,
            5 => Self::Netdev,
            7 => Self::Bridge,
            10 => Self::Ip6,
            _ => return None,
        })
    }
    /// NFPROTO_*.
    pub fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Arp => 3,
            Self::Netdev => 5,
            Self::Bridge => 7,
            Self::Ip6 => 10,
        }
    }
    /// The word of nft(8).
    pub fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Arp => "arp",
            Self::Netdev => "netdev",
            Self::Bridge => "bridge",
            Self::Ip6 => "ip6",
        }
    }
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NftTable {
    pub family: NftFamily,
    pub name: String,
    pub handle: u64,
    /// NFT_TABLE_F_*: bit 0 dormant (its hooks do nothing), bit 1 owned by a process.
    pub flags: u32,
    /// Comment from the user data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl NftTable {
    /// A dormant table's chains are not hooked.
    pub fn is_dormant(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// A chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NftChain {
    pub family: NftFamily,
    pub table: String,
    pub name: String,
    pub handle: u64,
    /// Set for a base chain.
    pub hook: Option<NftHook>,
    /// filter, nat or route, for a base chain.
    pub chain_type: Option<String>,
    /// NF_ACCEPT (1) or NF_DROP (0), for a base chain.
    pub policy: Option<u32>,
    /// NFT_CHAIN_* flags.
    pub flags: u32,
    /// Packets that met the policy, when the chain counts them (NFTA_CHAIN_COUNTERS).
    pub counter: Option<(u64, u64)>,
    /// Comment from the user data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Where a base chain is hooked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NftHook {
    /// NF_INET_* (prerouting 0, input 1, forward 2, output 3, postrouting 4; inet ingress 5), NF_NETDEV_* (ingress 0, egress 1), NF_ARP_* (in 0, out 1, forward 2), NF_BR_* as NF_INET_*.
    pub num: u32,
    /// Priority; lower runs first.
    pub priority: i32,
    /// Devices of a netdev or inet-ingress hook.
    pub devices: Vec<String>,
}

/// A rule: a list of expressions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NftRule {
    pub family: NftFamily,
    pub table: String,
    pub chain: String,
    pub handle: u64,
    pub exprs: Vec<Expr>,
    /// Comment from the user data, when there is one.
    pub comment: Option<String>,
    /// Whether the rule was made through iptables-nft, as far as one can see: a rule of its table holds an xtables match or target.
    pub compat: bool,
}

impl NftRule {
    /// Packets of the rule's counter expression; `None` when it has none.
    pub fn packets(&self) -> Option<u64> {
        self.exprs.iter().find_map(|e| match e {
            Expr::Counter { packets, .. } => Some(*packets),
            _ => None,
        })
    }
}

/// A set or map.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NftSet {
    pub family: NftFamily,
    pub table: String,
    pub name: String,
    pub handle: u64,
    /// NFT_SET_*: 1 anonymous, 2 constant, 4 interval, 8 map, 0x10 timeout, 0x20 eval, 0x40 object, 0x80 concat.
    pub flags: u32,
    /// Key type number of nft's user space (NFTA_SET_KEY_TYPE).
    pub key_type: u32,
    /// Key length in bytes.
    pub key_len: u32,
    /// Data type for a map: 0xffffff00 means verdicts.
    pub data_type: Option<u32>,
    /// Data length in bytes for a map.
    pub data_len: Option<u32>,
    /// Bytes of each field of a concatenated key (NFTA_SET_DESC_CONCAT); empty for a plain key.
    pub field_lens: Vec<u32>,
    /// Default timeout in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Maximum elements (NFTA_SET_DESC_SIZE).
    pub size: Option<u32>,
    /// Elements; meaningful only when `elements_read`.
    pub elements: Vec<NftElem>,
    /// Whether the elements were asked for and all of them arrived.
    pub elements_read: bool,
    /// What only a listing of the set itself shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<Box<NftSetMore>>,
}

/// What a listing of a set shows beside what a packet meets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NftSetMore {
    /// Comment from the user data.
    pub comment: Option<String>,
    /// Whether user space merges adjacent intervals (user data).
    pub auto_merge: bool,
    /// NFT_SET_POL_*: 0 performance, 1 memory.
    pub policy: Option<u32>,
    /// Milliseconds between garbage collections.
    pub gc_interval_ms: Option<u32>,
    /// NFT_OBJECT_* of an object map.
    pub obj_type: Option<u32>,
    /// Expressions that every element gets.
    pub exprs: Vec<Expr>,
    /// User data of the key's `typeof` expression, as user space wrote it.
    pub key_typeof: Option<Vec<u8>>,
    /// The same of the data.
    pub data_typeof: Option<Vec<u8>>,
    /// Whether the data of a map is an interval (user data).
    pub data_interval: bool,
}

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NftElem {
    pub key: Vec<u8>,
    /// Upper end of a concatenated interval (NFTA_SET_ELEM_KEY_END), inclusive.
    pub key_end: Option<Vec<u8>>,
    /// NFT_SET_ELEM_*: 1 interval end, 2 catch-all.
    pub flags: u32,
    /// Data of a map.
    pub data: Option<Data>,
    /// Name of a referenced object, for object maps.
    pub object: Option<String>,
    /// Milliseconds left before it expires.
    pub expires_ms: Option<u64>,
    /// Milliseconds it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Expressions attached to the element (counters, limits, connlimits).
    pub exprs: Vec<Expr>,
    pub comment: Option<String>,
}

/// A register's content or a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// Bytes in the order the kernel keeps them.
    Value(Vec<u8>),
    /// A verdict.
    Verdict(NftVerdict),
}

/// A verdict (NFT_* and NF_*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum NftVerdict {
    Accept,
    Drop,
    Queue(u16),
    Continue,
    Break,
    Return,
    Jump(String),
    Goto(String),
    /// Any other code; the low byte is the verdict, the high half its data (errno for NF_DROP_ERR).
    Other(i32),
}

/// A named object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NftObject {
    pub family: NftFamily,
    pub table: String,
    pub name: String,
    pub handle: u64,
    /// NFT_OBJECT_*.
    pub obj_type: u32,
    /// Its state as the matching expression, where there is one (counter, quota, limit, connlimit).
    pub expr: Option<Expr>,
    /// Comment from the user data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What it says, for the kinds without a matching expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<NftObjectDetail>,
}

/// Content of the objects that no expression describes. Protocol numbers are those of the IP header, families
/// NFPROTO_*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum NftObjectDetail {
    CtHelper {
        helper: String,
        l3proto: Option<u16>,
        l4proto: u8,
    },
    /// Seconds by the number of the protocol's state; only those the kernel sent.
    CtTimeout {
        l3proto: Option<u16>,
        l4proto: u8,
        seconds: Vec<(u16, u32)>,
    },
    CtExpect {
        l3proto: Option<u16>,
        l4proto: u8,
        dport: u16,
        timeout_ms: u32,
        size: u8,
    },
    Secmark {
        context: String,
    },
}

/// A flowtable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NftFlowtable {
    pub family: NftFamily,
    pub table: String,
    pub name: String,
    pub priority: i32,
    pub devices: Vec<String>,
    pub flags: u32,
    #[serde(default)]
    pub handle: u64,
}

/// Comparison of `cmp` and `range` (NFT_CMP_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum CmpOp {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
}

/// Base of a payload access (NFT_PAYLOAD_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum PayloadBase {
    Link,
    Network,
    Transport,
    Inner,
    Tunnel,
}

/// Bit operation (NFT_BITWISE_*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum BitwiseOp {
    /// `dreg = (sreg & mask) ^ xor`.
    MaskXor {
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    Lshift(u32),
    Rshift(u32),
    /// Two registers (since 6.14).
    And {
        sreg2: u32,
    },
    Or {
        sreg2: u32,
    },
    Xor {
        sreg2: u32,
    },
}

/// One expression (NFTA_EXPR_NAME and its data). Registers are numbered as in the uapi: 0 verdict, 1..4 of 16 bytes, 8..23 of 4 bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "expression", rename_all = "snake_case")]
#[allow(missing_docs)] // field names follow NFTA_* attributes
pub enum Expr {
    Payload {
        base: PayloadBase,
        offset: u32,
        len: u32,
        dreg: u32,
    },
    PayloadSet {
        base: PayloadBase,
        offset: u32,
        len: u32,
        sreg: u32,
        csum_type: u32,
        csum_offset: u32,
        csum_flags: u32,
    },
    Meta {
        key: u32,
        dreg: u32,
    },
    MetaSet {
        key: u32,
        sreg: u32,
    },
    Ct {
        key: u32,
        dir: Option<u8>,
        dreg: u32,
    },
    CtSet {
        key: u32,
        dir: Option<u8>,
        sreg: u32,
    },
    Cmp {
        op: CmpOp,
        sreg: u32,
        data: Vec<u8>,
    },
    Range {
        negate: bool,
        sreg: u32,
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Bitwise {
        sreg: u32,
        dreg: u32,
        len: u32,
        op: BitwiseOp,
    },
    /// `op` 0 network to host, 1 host to network; `size` 2, 4 or 8.
    Byteorder {
        sreg: u32,
        dreg: u32,
        op: u32,
        len: u32,
        size: u32,
    },
    Lookup {
        set: String,
        sreg: u32,
        dreg: Option<u32>,
        invert: bool,
    },
    Immediate {
        dreg: u32,
        data: Data,
    },
    Counter {
        packets: u64,
        bytes: u64,
    },
    /// `per_packet` false counts bytes; `over` inverts (NFT_LIMIT_F_INV); `unit_s` seconds of the rate.
    Limit {
        rate: u64,
        unit_s: u64,
        burst: u32,
        per_packet: bool,
        over: bool,
    },
    Quota {
        bytes: u64,
        consumed: u64,
        over: bool,
    },
    Connlimit {
        count: u32,
        over: bool,
    },
    /// `ng_type` 0 incremental, 1 random.
    Numgen {
        dreg: u32,
        modulus: u32,
        ng_type: u32,
        offset: u32,
    },
    /// `hash_type` 0 jenkins, 1 symmetric.
    Hash {
        sreg: Option<u32>,
        dreg: u32,
        len: u32,
        modulus: u32,
        seed: Option<u32>,
        offset: u32,
        hash_type: u32,
    },
    /// `result` 1 oif, 2 oifname, 3 addrtype; `flags` NFTA_FIB_F_*: 1 saddr, 2 daddr, 4 mark, 8 iif, 16 oif, 32 present.
    Fib {
        dreg: u32,
        result: u32,
        flags: u32,
    },
    Rt {
        key: u32,
        dreg: u32,
    },
    Socket {
        key: u32,
        level: u32,
        dreg: u32,
    },
    /// `op` 0 IPv6 extension header, 1 TCP option, 2 IP option, 3 SCTP, 4 DCCP; `present` stores 0/1.
    Exthdr {
        dreg: u32,
        hdr_type: u8,
        offset: u32,
        len: u32,
        op: u32,
        present: bool,
    },
    ExthdrSet {
        sreg: u32,
        hdr_type: u8,
        offset: u32,
        len: u32,
        op: u32,
    },
    /// TCP option removal (NFT_EXTHDR without registers).
    ExthdrReset {
        hdr_type: u8,
        op: u32,
    },
    /// `nat_type` 0 source, 1 destination; `flags` NF_NAT_RANGE_*.
    Nat {
        nat_type: u32,
        family: u32,
        addr_min: Option<u32>,
        addr_max: Option<u32>,
        proto_min: Option<u32>,
        proto_max: Option<u32>,
        flags: u32,
    },
    Masq {
        flags: u32,
        proto_min: Option<u32>,
        proto_max: Option<u32>,
    },
    Redir {
        flags: u32,
        proto_min: Option<u32>,
        proto_max: Option<u32>,
    },
    /// `reject_type` 0 ICMP unreachable, 1 TCP reset, 2 ICMPx (abstract code: 0 no route, 1 port, 2 host, 3 admin prohibited).
    Reject {
        reject_type: u32,
        code: u8,
    },
    Tproxy {
        family: u32,
        addr: Option<u32>,
        port: Option<u32>,
    },
    Notrack,
    Queue {
        num: u16,
        total: u16,
        flags: u16,
        sreg: Option<u32>,
    },
    Log {
        group: Option<u16>,
        prefix: String,
        snaplen: u32,
        level: Option<u32>,
        flags: u32,
        /// Packets kept before they are sent (NFTA_LOG_QTHRESHOLD).
        #[serde(default)]
        queue_threshold: u16,
    },
    Dup {
        addr: Option<u32>,
        dev: Option<u32>,
    },
    Fwd {
        dev: u32,
        addr: Option<u32>,
        family: Option<u32>,
    },
    /// `op` 0 add, 1 update, 2 delete.
    Dynset {
        set: String,
        op: u32,
        key: u32,
        data: Option<u32>,
        timeout_ms: Option<u64>,
        invert: bool,
        exprs: Vec<Expr>,
    },
    Objref {
        obj_type: u32,
        name: String,
    },
    ObjrefMap {
        set: String,
        sreg: u32,
    },
    Last {
        set: bool,
        ms: u64,
    },
    Synproxy {
        mss: u16,
        wscale: u8,
        flags: u32,
    },
    Osf {
        dreg: u32,
        ttl: u8,
        flags: u32,
    },
    FlowOffload {
        table: String,
    },
    Tunnel {
        key: u32,
        mode: u32,
        dreg: u32,
    },
    Xfrm {
        key: u32,
        dir: u8,
        spnum: u32,
        dreg: u32,
    },
    /// An xtables match run through nft_compat; `info` is its private structure, `decoded` what it means when this build knows.
    Match {
        name: String,
        revision: u32,
        info: Vec<u8>,
        #[serde(default)]
        decoded: Option<Box<crate::xtables::XtMatch>>,
    },
    /// An xtables target run through nft_compat.
    Target {
        name: String,
        revision: u32,
        info: Vec<u8>,
        #[serde(default)]
        decoded: Option<Box<crate::xtables::XtTarget>>,
    },
    Inner {
        inner_type: u32,
        hdrsize: u32,
        flags: u32,
        expr: Box<Expr>,
    },
    /// Anything this build does not decode: its name and raw attributes.
    Unknown {
        name: String,
        raw: Vec<u8>,
    },
}
