//! The expressions of one rule, written in the order the kernel executes them.

use netwhy_facts::IpNet;
use netwhy_wire::netlink::Builder;

use super::Table;
use super::set::{KeyType, Verdict};
use crate::words::{ip, prefix};
use crate::{ChangeError, Result};

/// `NFT_REG_1`: the register matches go through.
const REG: u32 = 1;
/// `NFT_REG_2`, for a second argument of nat.
const REG_2: u32 = 2;

const META_MARK: u32 = 3;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_SKUID: u32 = 10;
const META_PROTOCOL: u32 = 1;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;

const EQ: u32 = 0;
const NEQ: u32 = 1;

/// How a rule refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refuse {
    /// A TCP reset.
    TcpReset,
    /// ICMP or ICMPv6 destination unreachable with this code of the table's family.
    Icmp(u8),
    /// The code that fits either family: 0 no route, 1 port, 2 host unreachable, 3 administratively prohibited.
    Icmpx(u8),
}

/// The expressions of a rule.
#[derive(Debug)]
pub struct Expressions {
    table: Table,
    list: Builder,
    error: Option<ChangeError>,
}

macro_rules! address_matches {
    ($($name:ident($doc:literal, $v4:literal, $v6:literal);)*) => {$(
        #[doc = $doc]
        #[must_use]
        pub fn $name(self, text: &str) -> Self {
            match prefix(text) {
                Ok(net) => self.address(net, $v4, $v6),
                Err(error) => self.failed(error),
            }
        }
    )*};
}

impl Expressions {
    pub(super) fn new(table: Table) -> Self {
        Expressions { table, list: Builder::new(), error: None }
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.list.finish()?),
        }
    }

    fn failed(mut self, error: ChangeError) -> Self {
        self.error = Some(error);
        self
    }

    /// One expression by name, its attributes written by `fill`.
    fn expression(mut self, name: &str, fill: impl FnOnce(&mut Builder)) -> Self {
        self.list.nest(1, |element| {
            element.str(1, name).nest(2, fill);
        });
        self
    }

    fn meta(self, key: u32) -> Self {
        self.expression("meta", |data| {
            data.be32(2, key).be32(1, REG);
        })
    }

    fn payload(self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        self.expression("payload", |data| {
            data.be32(1, register).be32(2, base).be32(3, offset).be32(4, length);
        })
    }

    fn compare(self, operation: u32, value: &[u8]) -> Self {
        self.expression("cmp", |data| {
            data.be32(1, REG).be32(2, operation).nest(3, |inside| {
                inside.bytes(1, value);
            });
        })
    }

    fn mask(self, mask: &[u8]) -> Self {
        let (length, zero) = (u32::try_from(mask.len()).unwrap_or(0), vec![0; mask.len()]);
        self.expression("bitwise", |data| {
            data.be32(1, REG).be32(2, REG).be32(3, length).nest(4, |inside| {
                inside.bytes(1, mask);
            });
            data.nest(5, |inside| {
                inside.bytes(1, &zero);
            });
        })
    }

    fn immediate(self, register: u32, value: &[u8]) -> Self {
        self.expression("immediate", |data| {
            data.be32(1, register).nest(2, |inside| {
                inside.bytes(1, value);
            });
        })
    }

    /// Only this network protocol, where the table holds more than one.
    fn network(self, v4: bool) -> Self {
        match self.table {
            Table::Inet => self.meta(META_NFPROTO).compare(EQ, &[if v4 { 2 } else { 10 }]),
            Table::Bridge | Table::Netdev => {
                let ethertype: u16 = if v4 { 0x0800 } else { 0x86dd };
                self.meta(META_PROTOCOL).compare(EQ, &ethertype.to_be_bytes())
            }
            _ => self,
        }
    }

    fn address(self, net: IpNet, v4: u32, v6: u32) -> Self {
        let (offset, bytes) = match net.addr {
            std::net::IpAddr::V4(address) => (v4, address.octets().to_vec()),
            std::net::IpAddr::V6(address) => (v6, address.octets().to_vec()),
        };
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        let mut rule = self.network(net.addr.is_ipv4()).payload(1, offset, length, REG);
        if usize::from(net.len) < bytes.len() * 8 {
            let mask: Vec<u8> = (0..bytes.len())
                .map(|index| {
                    let ones = usize::from(net.len).saturating_sub(index * 8).min(8);
                    (0xff00_u32 >> ones).to_le_bytes()[0]
                })
                .collect();
            rule = rule.mask(&mask);
        }
        rule.compare(EQ, &bytes)
    }

    address_matches! {
        saddr("The source address or prefix, either family.", 12, 8);
        daddr("The destination address or prefix, either family.", 16, 24);
    }

    fn l4(self, number: u8) -> Self {
        self.meta(META_L4PROTO).compare(EQ, &[number])
    }

    /// Any TCP segment.
    #[must_use]
    pub fn tcp(self) -> Self {
        self.l4(6)
    }

    /// Any UDP datagram.
    #[must_use]
    pub fn udp(self) -> Self {
        self.l4(17)
    }

    /// The TCP destination port.
    #[must_use]
    pub fn tcp_dport(self, port: u16) -> Self {
        self.l4(6).payload(2, 2, 2, REG).compare(EQ, &port.to_be_bytes())
    }

    /// The TCP source port.
    #[must_use]
    pub fn tcp_sport(self, port: u16) -> Self {
        self.l4(6).payload(2, 0, 2, REG).compare(EQ, &port.to_be_bytes())
    }

    /// The UDP destination port.
    #[must_use]
    pub fn udp_dport(self, port: u16) -> Self {
        self.l4(17).payload(2, 2, 2, REG).compare(EQ, &port.to_be_bytes())
    }

    /// The UDP source port.
    #[must_use]
    pub fn udp_sport(self, port: u16) -> Self {
        self.l4(17).payload(2, 0, 2, REG).compare(EQ, &port.to_be_bytes())
    }

    /// The TCP destination port, from `low` to `high`.
    #[must_use]
    pub fn tcp_dport_range(self, low: u16, high: u16) -> Self {
        self.l4(6).payload(2, 2, 2, REG).expression("range", |data| {
            data.be32(1, REG).be32(2, EQ);
            data.nest(3, |inside| {
                inside.bytes(1, &low.to_be_bytes());
            });
            data.nest(4, |inside| {
                inside.bytes(1, &high.to_be_bytes());
            });
        })
    }

    /// Flags of a TCP segment: those of `mask` must be exactly `value`.
    #[must_use]
    pub fn tcp_flags(self, mask: u8, value: u8) -> Self {
        self.l4(6).payload(2, 13, 1, REG).mask(&[mask]).compare(EQ, &[value])
    }

    /// TCP segments whose source port has these bits: those of `mask` must be exactly `value`.
    #[must_use]
    pub fn tcp_sport_bits(self, mask: u16, value: u16) -> Self {
        self.l4(6).payload(2, 0, 2, REG).mask(&mask.to_be_bytes()).compare(EQ, &value.to_be_bytes())
    }

    /// TCP segments that carry an option of this kind.
    #[must_use]
    pub fn tcp_option(self, kind: u8) -> Self {
        const PRESENT: u32 = 1;
        const TCP_OPTION: u32 = 1;
        self.l4(6)
            .expression("exthdr", |data| {
                data.be32(1, REG).bytes(2, &[kind]).be32(3, 0).be32(4, 1);
                data.be32(5, PRESENT).be32(6, TCP_OPTION);
            })
            .compare(EQ, &[1])
    }

    /// ICMP of this type (IPv4).
    #[must_use]
    pub fn icmp_type(self, number: u8) -> Self {
        self.network(true).l4(1).payload(2, 0, 1, REG).compare(EQ, &[number])
    }

    /// ICMPv6 of this type.
    #[must_use]
    pub fn icmp6_type(self, number: u8) -> Self {
        self.network(false).l4(58).payload(2, 0, 1, REG).compare(EQ, &[number])
    }

    /// Frames that carry this EtherType (bridge and netdev).
    #[must_use]
    pub fn ether_type(self, number: u16) -> Self {
        self.meta(META_PROTOCOL).compare(EQ, &number.to_be_bytes())
    }

    /// ARP with this operation: 1 request, 2 reply (family arp).
    #[must_use]
    pub fn arp_operation(self, number: u16) -> Self {
        self.payload(1, 6, 2, REG).compare(EQ, &number.to_be_bytes())
    }

    fn device_name(self, key: u32, name: &str, operation: u32) -> Self {
        let mut bytes = [0; 16];
        for (place, byte) in bytes.iter_mut().zip(name.bytes().take(15)) {
            *place = byte;
        }
        self.meta(key).compare(operation, &bytes)
    }

    /// The device a packet came in by.
    #[must_use]
    pub fn iif(self, name: &str) -> Self {
        self.device_name(META_IIFNAME, name, EQ)
    }

    /// The device a packet goes out by.
    #[must_use]
    pub fn oif(self, name: &str) -> Self {
        self.device_name(META_OIFNAME, name, EQ)
    }

    /// Any device but this one to go out by.
    #[must_use]
    pub fn oif_not(self, name: &str) -> Self {
        self.device_name(META_OIFNAME, name, NEQ)
    }

    /// The packet's mark.
    #[must_use]
    pub fn mark(self, value: u32) -> Self {
        self.meta(META_MARK).compare(EQ, &value.to_ne_bytes())
    }

    /// The user of the sending socket.
    #[must_use]
    pub fn skuid(self, user: u32) -> Self {
        self.meta(META_SKUID).compare(EQ, &user.to_ne_bytes())
    }

    /// Sets the packet's mark.
    #[must_use]
    pub fn set_mark(self, value: u32) -> Self {
        self.immediate(REG, &value.to_ne_bytes()).expression("meta", |data| {
            data.be32(2, META_MARK).be32(3, REG);
        })
    }

    /// Connection tracking state, any of these bits: 1 invalid, 2 established, 4 related, 8 new,
    /// 64 untracked.
    #[must_use]
    pub fn ct_state(self, bits: u32) -> Self {
        self.expression("ct", |data| {
            data.be32(1, REG).be32(2, 0);
        })
        .mask(&bits.to_ne_bytes())
        .compare(NEQ, &[0; 4])
    }

    /// What the routing table says of an address: `NFT_FIB_RESULT_OIF` of source and device must be there.
    #[must_use]
    pub fn fib_saddr_iif_missing(self) -> Self {
        // FLAGS: SADDR 1 | IIF 8; RESULT_OIF 1.
        self.expression("fib", |data| {
            data.be32(1, REG).be32(2, 1).be32(3, 1 | 8);
        })
        .compare(EQ, &[0; 4])
    }

    /// At most `rate` packets a second, with this burst; `over` matches what is beyond.
    #[must_use]
    pub fn limit(self, rate: u64, burst: u32, over: bool) -> Self {
        self.expression("limit", |data| {
            data.be64(1, rate).be64(2, 1).be32(3, burst).be32(4, 0).be32(5, u32::from(over));
        })
    }

    /// More than `count` tracked connections.
    #[must_use]
    pub fn connections_over(self, count: u32) -> Self {
        self.expression("connlimit", |data| {
            data.be32(1, count).be32(2, 1);
        })
    }

    /// The key of a set: loads what `keys` name into registers and looks it up.
    #[must_use]
    pub fn lookup(self, set: &str, keys: &[KeyType]) -> Self {
        self.look(set, keys, None)
    }

    /// As [`Self::lookup`], in a verdict map.
    #[must_use]
    pub fn verdict_map(self, map: &str, keys: &[KeyType]) -> Self {
        self.look(map, keys, Some(0))
    }

    fn look(mut self, set: &str, keys: &[KeyType], destination: Option<u32>) -> Self {
        // NFT_REG32_00 is 8; each field of a concatenation starts on a 32-bit register.
        let mut register = 8;
        for key in keys {
            self = match key {
                KeyType::Ip4Source => self.network(true).payload(1, 12, 4, register),
                KeyType::Ip4Destination => self.network(true).payload(1, 16, 4, register),
                KeyType::Ip6Source => self.network(false).payload(1, 8, 16, register),
                KeyType::Ip6Destination => self.network(false).payload(1, 24, 16, register),
                KeyType::TcpPort => self.l4_other(6).payload(2, 2, 2, register),
                KeyType::UdpPort => self.l4_other(17).payload(2, 2, 2, register),
            };
            register += u32::try_from(key.length().div_ceil(4)).unwrap_or(1);
        }
        self.expression("lookup", |data| {
            data.str(1, set).be32(2, 8);
            if let Some(destination) = destination {
                data.be32(3, destination);
            }
        })
    }

    /// As [`Self::l4`], through a register that no field of a concatenation uses (`NFT_REG32_15`).
    fn l4_other(self, number: u8) -> Self {
        self.expression("meta", |data| {
            data.be32(2, META_L4PROTO).be32(1, 23);
        })
        .expression("cmp", |data| {
            data.be32(1, 23).be32(2, EQ).nest(3, |inside| {
                inside.bytes(1, &[number]);
            });
        })
    }

    /// Counts.
    #[must_use]
    pub fn counter(self) -> Self {
        self.expression("counter", |data| {
            data.be64(1, 0).be64(2, 0);
        })
    }

    /// Logs with a prefix.
    #[must_use]
    pub fn log(self, text: &str) -> Self {
        self.expression("log", |data| {
            data.str(2, text);
        })
    }

    fn verdict(self, verdict: &Verdict) -> Self {
        self.expression("immediate", |data| {
            data.be32(1, 0).nest(2, |inside| verdict.write(inside));
        })
    }

    /// Lets the packet go on.
    #[must_use]
    pub fn accept(self) -> Self {
        self.verdict(&Verdict::Accept)
    }

    /// Drops the packet.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "the word of nft")]
    pub fn drop(self) -> Self {
        self.verdict(&Verdict::Drop)
    }

    /// Goes through another chain.
    #[must_use]
    pub fn jump(self, chain: &str) -> Self {
        self.verdict(&Verdict::Jump(chain.to_owned()))
    }

    /// Refuses.
    #[must_use]
    pub fn reject(self, how: Refuse) -> Self {
        let (kind, code) = match how {
            Refuse::Icmp(code) => (0, code),
            Refuse::TcpReset => (1, 0),
            Refuse::Icmpx(code) => (2, code),
        };
        self.expression("reject", |data| {
            data.be32(1, kind).u8(2, code);
        })
    }

    /// Gives the packet to a program; without one listening it is lost.
    #[must_use]
    pub fn queue(self, number: u16) -> Self {
        self.expression("queue", |data| {
            data.be16(1, number).be16(2, 1);
        })
    }

    /// Not to be tracked (a chain of priority -300 at prerouting or output).
    #[must_use]
    pub fn notrack(self) -> Self {
        self.expression("notrack", |_| {})
    }

    fn translate(self, kind: u32, address: &str, port: Option<u16>) -> Self {
        let address = match ip(address) {
            Ok(address) => address,
            Err(error) => return self.failed(error),
        };
        let (family, bytes) = match address {
            std::net::IpAddr::V4(address) => (2, address.octets().to_vec()),
            std::net::IpAddr::V6(address) => (10, address.octets().to_vec()),
        };
        let mut rule = self.immediate(REG, &bytes);
        if let Some(port) = port {
            rule = rule.immediate(REG_2, &port.to_be_bytes());
        }
        rule.expression("nat", |data| {
            data.be32(1, kind).be32(2, family).be32(3, REG);
            if port.is_some() {
                data.be32(5, REG_2);
            }
        })
    }

    /// Another destination.
    #[must_use]
    pub fn dnat(self, address: &str, port: Option<u16>) -> Self {
        self.translate(1, address, port)
    }

    /// Another source.
    #[must_use]
    pub fn snat(self, address: &str) -> Self {
        self.translate(0, address, None)
    }

    /// Another source, from few ports: `low` to `high`.
    #[must_use]
    pub fn masquerade_ports(self, low: u16, high: u16) -> Self {
        self.immediate(REG, &low.to_be_bytes()).immediate(REG_2, &high.to_be_bytes()).expression(
            "masq",
            |data| {
                // NF_NAT_RANGE_PROTO_SPECIFIED
                data.be32(1, 2).be32(2, REG).be32(3, REG_2);
            },
        )
    }

    /// The address of the device it leaves by becomes the source.
    #[must_use]
    pub fn masquerade(self) -> Self {
        self.expression("masq", |_| {})
    }

    /// To this host itself, on another port.
    #[must_use]
    pub fn redirect(self, port: u16) -> Self {
        self.immediate(REG, &port.to_be_bytes()).expression("redir", |data| {
            data.be32(1, REG);
        })
    }
}
