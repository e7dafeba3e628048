//! A kernel that knows a few types, and a machine that runs compiled programs.
#![allow(dead_code, unreachable_pub)]

pub mod vm;

use netwhy_lang::features::Features;
use netwhy_lang::types::*;
use netwhy_lang::{Compiled, Options, compile, diag::Diagnostic};

/// Types by index: small copies of what BTF says.
pub struct FakeTypes(Vec<TypeDesc>);

fn int(size: u8, signed: bool) -> TypeDesc {
    TypeDesc::Int { size, signed, char_like: false }
}

fn member(name: &str, ty: u32, byte: u32) -> Member {
    Member { name: name.into(), ty: TypeId(ty), bit_offset: byte * 8, bit_size: 0 }
}

fn structure(name: &str, size: u32, union: bool, members: Vec<Member>) -> TypeDesc {
    TypeDesc::Struct { name: name.into(), size, union, members }
}

const NAMED: [(Tag, &str, u32); 7] = [
    (Tag::Struct, "sock", 9),
    (Tag::Struct, "tcp_sock", 11),
    (Tag::Struct, "sock_common", 8),
    (Tag::Struct, "sk_buff", 13),
    (Tag::Struct, "task_struct", 16),
    (Tag::Enum, "skb_drop_reason", 15),
    (Tag::Typedef, "u_example", 3),
];

impl Default for FakeTypes {
    fn default() -> Self {
        Self(vec![
            TypeDesc::Void,
            TypeDesc::Int { size: 1, signed: true, char_like: true },
            int(2, false),
            int(4, false),
            int(8, false),
            int(4, true),
            // 6: union { u64 skc_addrpair; struct { u32 skc_daddr; u32 skc_rcv_saddr; } }
            structure("", 8, true, vec![member("skc_addrpair", 4, 0), member("", 7, 0)]),
            structure("", 8, false, vec![member("skc_daddr", 3, 0), member("skc_rcv_saddr", 3, 4)]),
            structure(
                "sock_common",
                32,
                false,
                vec![
                    member("", 6, 0),
                    member("skc_dport", 2, 12),
                    member("skc_family", 2, 16),
                    Member { name: "skc_reuse".into(), ty: TypeId(3), bit_offset: 18 * 8, bit_size: 4 },
                    Member {
                        name: "skc_ipv6only".into(),
                        ty: TypeId(3),
                        bit_offset: 18 * 8 + 5,
                        bit_size: 1,
                    },
                ],
            ),
            structure(
                "sock",
                64,
                false,
                vec![member("__sk_common", 8, 0), member("sk_err", 5, 40), member("sk_ack_backlog", 3, 48)],
            ),
            TypeDesc::Ptr(TypeId(9)),
            structure("tcp_sock", 128, false, vec![member("sk", 9, 0), member("srtt_us", 3, 100)]),
            TypeDesc::Ptr(TypeId(13)),
            structure(
                "sk_buff",
                64,
                false,
                vec![
                    member("sk", 10, 8),
                    member("len", 3, 16),
                    member("protocol", 2, 20),
                    member("cb", 17, 24),
                ],
            ),
            TypeDesc::Ptr(TypeId(0)),
            TypeDesc::Enum {
                name: "skb_drop_reason".into(),
                size: 4,
                signed: false,
                values: vec![("SKB_DROP_REASON_NO_SOCKET".into(), 3), ("SKB_DROP_REASON_TCP_CSUM".into(), 5)],
            },
            structure(
                "task_struct",
                64,
                false,
                vec![
                    member("pid", 5, 0),
                    member("tgid", 5, 4),
                    member("real_parent", 18, 8),
                    member("comm", 17, 16),
                ],
            ),
            TypeDesc::Array { elem: TypeId(1), len: 16 },
            TypeDesc::Ptr(TypeId(16)),
        ])
    }
}

fn field(name: &str, c_type: &str, offset: u32, size: u32, location: Location) -> RecordField {
    let array = (size > 8 && location == Location::Inline).then_some(size);
    RecordField {
        name: name.into(),
        c_type: c_type.into(),
        offset,
        size,
        signed: c_type == "int",
        array,
        location,
    }
}

impl Types for FakeTypes {
    fn find(&self, tag: Tag, name: &str) -> Option<TypeId> {
        NAMED.iter().find(|(t, n, _)| *t == tag && *n == name).map(|(_, _, id)| TypeId(*id))
    }
    fn describe(&self, id: TypeId) -> Option<TypeDesc> {
        self.0.get(id.0 as usize).cloned()
    }
    fn enumerator(&self, name: &str) -> Option<(i64, TypeId)> {
        (name == "SKB_DROP_REASON_NO_SOCKET").then_some((3, TypeId(15)))
    }
    fn function(&self, _: Option<&str>, name: &str) -> Option<Signature> {
        let param = |name: &str, ty| Param { name: name.into(), ty: TypeId(ty) };
        (name == "tcp_sendmsg")
            .then(|| Signature { params: vec![param("sk", 10), param("size", 4)], ret: Some(TypeId(5)) })
    }
    fn raw_tracepoint(&self, name: &str) -> Option<Signature> {
        let param = |name: &str, ty| Param { name: name.into(), ty: TypeId(ty) };
        (name == "kfree_skb").then(|| Signature {
            params: vec![param("skb", 12), param("location", 14), param("reason", 15), param("rx_sk", 10)],
            ret: None,
        })
    }
    fn tracepoint(&self, category: &str, event: &str) -> Option<Vec<RecordField>> {
        match (category, event) {
            ("net", "netif_receive_skb") => Some(vec![
                field("skbaddr", "void *", 8, 8, Location::Inline),
                field("len", "unsigned int", 16, 4, Location::Inline),
                field("name", "char", 20, 4, Location::DataLoc),
            ]),
            ("skb", "kfree_skb") => Some(vec![
                field("skbaddr", "void *", 8, 8, Location::Inline),
                field("protocol", "unsigned short", 32, 2, Location::Inline),
                field("reason", "enum skb_drop_reason", 36, 4, Location::Inline),
            ]),
            ("sock", "inet_sock_set_state") => Some(vec![
                field("skaddr", "const void *", 8, 8, Location::Inline),
                field("newstate", "int", 20, 4, Location::Inline),
                field("saddr_v6", "__u8", 40, 16, Location::Inline),
                field("comm", "char", 56, 16, Location::Inline),
            ]),
            ("syscalls", _) => Some(vec![field("filename", "const char *", 16, 8, Location::Inline)]),
            _ => None,
        }
    }
    fn symbol(&self, name: &str) -> Option<u64> {
        (name == "jiffies").then_some(0xffff_ffff_8200_0000)
    }
}

impl Probes for FakeTypes {
    fn matching(&self, provider: &str, pattern: &str) -> Vec<String> {
        match (provider, pattern) {
            ("tracepoint", "syscalls:sys_enter_*") => {
                ["close", "openat", "read"].iter().map(|n| format!("syscalls:sys_enter_{n}")).collect()
            }
            _ => Vec::new(),
        }
    }
    fn exists(&self, provider: &str, name: &str) -> Option<bool> {
        (provider == "tracepoint").then(|| {
            let known = ["net:netif_receive_skb", "skb:kfree_skb", "sock:inet_sock_set_state"];
            known.contains(&name) || name.starts_with("syscalls:")
        })
    }
    fn similar(&self, provider: &str, _: &str) -> Vec<String> {
        if provider == "tracepoint" {
            vec!["skb:kfree_skb".into(), "net:netif_receive_skb".into()]
        } else {
            Vec::new()
        }
    }
}

/// Compiles for a modern kernel.
pub fn build(script: &str) -> Result<Compiled, Diagnostic> {
    build_for(script, &Features::modern())
}

/// Compiles for a kernel.
pub fn build_for(script: &str, features: &Features) -> Result<Compiled, Diagnostic> {
    let types = FakeTypes::default();
    compile(script, &Options::default(), &types, &types, features)
}

/// A small generator of numbers with a seed (xorshift64*).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

/// Seed of this run: the environment's `NETWHY_SEED` or a fixed one.
pub fn seed() -> u64 {
    let seed = option_env!("NETWHY_SEED").and_then(|s| s.parse().ok()).unwrap_or(0x9e37_79b9_7f4a_7c15);
    println!("seed {seed}");
    seed | 1
}
