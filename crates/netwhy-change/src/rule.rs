//! Policy rules (rtnetlink `RTM_NEWRULE`, uapi `linux/fib_rules.h`).

use netwhy_facts::IpNet;
use netwhy_wire::netlink::Builder;

use crate::words::{AF_INET, AF_INET6, CREATE, family_of, prefix};
use crate::{ChangeError, Result, RouteWriter};

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FWMASK: u16 = 16;
const FRA_TABLE: u16 = 15;
const FRA_OIFNAME: u16 = 17;
const FRA_UID_RANGE: u16 = 20;
const FRA_IP_PROTO: u16 = 22;
const FRA_DPORT_RANGE: u16 = 24;

/// What a rule does, as `ip rule` writes it (`FR_ACT_*`).
pub const ACTIONS: [(&str, u8); 4] = [("lookup", 1), ("blackhole", 6), ("unreachable", 7), ("prohibit", 8)];

/// A policy rule. Empty fields match anything.
#[derive(Debug, Clone)]
pub struct Rule {
    family: u8,
    priority: u32,
    action: u8,
    table: u32,
    from: Option<IpNet>,
    to: Option<IpNet>,
    iif: Option<String>,
    oif: Option<String>,
    mark: Option<(u32, u32)>,
    uid: Option<(u32, u32)>,
    proto: Option<u8>,
    dport: Option<(u16, u16)>,
}

impl Rule {
    /// An IPv4 rule that looks in `table`.
    #[must_use]
    pub const fn lookup(priority: u32, table: u32) -> Self {
        Rule {
            family: AF_INET,
            priority,
            action: 1,
            table,
            from: None,
            to: None,
            iif: None,
            oif: None,
            mark: None,
            uid: None,
            proto: None,
            dport: None,
        }
    }

    /// Its place among the rules.
    #[must_use]
    pub const fn priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }

    /// The table it looks in.
    #[must_use]
    pub const fn table(mut self, table: u32) -> Self {
        self.table = table;
        self
    }

    /// For IPv6.
    #[must_use]
    pub const fn v6(mut self) -> Self {
        self.family = AF_INET6;
        self
    }

    /// What it does instead: `blackhole`, `unreachable`, `prohibit`.
    pub fn action(mut self, name: &str) -> Result<Self> {
        let found = ACTIONS.iter().find(|(word, _)| *word == name);
        self.action = found.ok_or_else(|| ChangeError::Usage(format!("{name} is not an action")))?.1;
        Ok(self)
    }

    /// Only this source.
    pub fn from(mut self, text: &str) -> Result<Self> {
        let net = prefix(text)?;
        self.family = family_of(&net.addr);
        self.from = Some(net);
        Ok(self)
    }

    /// Only this destination.
    pub fn to(mut self, text: &str) -> Result<Self> {
        let net = prefix(text)?;
        self.family = family_of(&net.addr);
        self.to = Some(net);
        Ok(self)
    }

    /// Only packets that came in here.
    #[must_use]
    pub fn iif(mut self, device: &str) -> Self {
        self.iif = Some(device.to_owned());
        self
    }

    /// Only sockets bound to this device.
    #[must_use]
    pub fn oif(mut self, device: &str) -> Self {
        self.oif = Some(device.to_owned());
        self
    }

    /// Only this mark.
    #[must_use]
    pub const fn mark(mut self, value: u32, mask: u32) -> Self {
        self.mark = Some((value, mask));
        self
    }

    /// Only these users.
    #[must_use]
    pub const fn uid(mut self, low: u32, high: u32) -> Self {
        self.uid = Some((low, high));
        self
    }

    /// Only this protocol.
    #[must_use]
    pub const fn proto(mut self, number: u8) -> Self {
        self.proto = Some(number);
        self
    }

    /// Only these destination ports.
    #[must_use]
    pub const fn dport(mut self, low: u16, high: u16) -> Self {
        self.dport = Some((low, high));
        self
    }

    fn message(&self) -> Builder {
        let length = |net: &Option<IpNet>| net.map_or(0, |net| net.len);
        let table = u8::try_from(self.table).unwrap_or(0);
        let header =
            [self.family, length(&self.to), length(&self.from), 0, table, 0, 0, self.action, 0, 0, 0, 0];
        let mut message = Builder::with_header(&header);
        message.u32(FRA_PRIORITY, self.priority);
        if self.action == 1 {
            message.u32(FRA_TABLE, self.table);
        }
        if let Some(net) = self.from {
            message.ip(FRA_SRC, net.addr);
        }
        if let Some(net) = self.to {
            message.ip(FRA_DST, net.addr);
        }
        if let Some(device) = &self.iif {
            message.str(FRA_IIFNAME, device);
        }
        if let Some(device) = &self.oif {
            message.str(FRA_OIFNAME, device);
        }
        if let Some((value, mask)) = self.mark {
            message.u32(FRA_FWMARK, value).u32(FRA_FWMASK, mask);
        }
        if let Some((low, high)) = self.uid {
            message.bytes(FRA_UID_RANGE, &[low.to_ne_bytes(), high.to_ne_bytes()].concat());
        }
        if let Some(proto) = self.proto {
            message.u8(FRA_IP_PROTO, proto);
        }
        if let Some((low, high)) = self.dport {
            message.bytes(FRA_DPORT_RANGE, &[low.to_ne_bytes(), high.to_ne_bytes()].concat());
        }
        message
    }
}

impl RouteWriter<'_> {
    /// Adds a policy rule.
    pub fn rule_add(&mut self, rule: &Rule) -> Result<()> {
        self.order(format!("add rule {}", rule.priority), RTM_NEWRULE, CREATE, rule.message())
    }

    /// Removes a policy rule that is like this one in all that is said.
    pub fn rule_del(&mut self, rule: &Rule) -> Result<()> {
        self.order(format!("delete rule {}", rule.priority), RTM_DELRULE, 0, rule.message())
    }
}
