//! Builds nftables tables, chains, sets and rules and sends them as one transaction (uapi
//! `linux/netfilter/nf_tables.h`), so that the code reads like the ruleset it makes:
//!
//! ```text
//! let handles = Nft::new(Table::Inet, "filter")
//!     .base("output", Hook::Output, 0, Policy::Accept)
//!     .rule("output", |r| r.tcp_dport(8080).counter().drop())
//!     .commit(&mut socket)?;
//! ```

mod expr;
mod rule;
mod set;
mod transaction;

pub use rule::{Expressions, Refuse};
pub use set::{Element, KeyType, Verdict};
pub use transaction::{BaseHook, ElementSpec, Place, SetSpec, Transaction};

use netwhy_sys::netlink::{BatchMessage, NLM_F_APPEND, NLM_F_CREATE, NLM_F_ECHO, Socket};
use netwhy_wire::netlink::{Attributes, Builder};

use crate::{ChangeError, Result};

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;

/// The family of a table (`NFPROTO_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// IPv4 and IPv6.
    Inet = 1,
    /// IPv4.
    Ip = 2,
    /// ARP.
    Arp = 3,
    /// One device, before and after the stack.
    Netdev = 5,
    /// Bridged frames.
    Bridge = 7,
    /// IPv6.
    Ip6 = 10,
}

impl Table {
    /// The word `nft` uses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Table::Inet => "inet",
            Table::Ip => "ip",
            Table::Arp => "arp",
            Table::Netdev => "netdev",
            Table::Bridge => "bridge",
            Table::Ip6 => "ip6",
        }
    }

    /// From the word `nft` uses.
    pub fn parse(word: &str) -> Result<Self> {
        [Table::Inet, Table::Ip, Table::Arp, Table::Netdev, Table::Bridge, Table::Ip6]
            .into_iter()
            .find(|table| table.word() == word)
            .ok_or_else(|| ChangeError::Usage(format!("{word} is not an nftables family")))
    }
}

/// Where a base chain hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of nft")]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    Ingress,
    Egress,
}

impl Hook {
    const fn number(self, table: Table) -> u32 {
        match (table, self) {
            (Table::Arp, Hook::Input) | (Table::Netdev, Hook::Ingress) => 0,
            (Table::Arp, Hook::Output) | (Table::Netdev, Hook::Egress) => 1,
            (_, Hook::Prerouting) => 0,
            (_, Hook::Input) => 1,
            (_, Hook::Forward) => 2,
            (_, Hook::Output) => 3,
            (_, Hook::Postrouting) => 4,
            (_, Hook::Ingress | Hook::Egress) => 5,
        }
    }
}

/// What a base chain does with what no rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of nft")]
pub enum Policy {
    Drop = 0,
    Accept = 1,
}

/// A table being built.
#[derive(Debug)]
pub struct Nft {
    table: Table,
    name: String,
    messages: Vec<BatchMessage>,
    set_id: u32,
    error: Option<ChangeError>,
}

/// `struct nfgenmsg`.
fn header(table: Table) -> Builder {
    Builder::with_header(&[table as u8, 0, 0, 0])
}

impl Nft {
    /// A table, made if it is not there.
    #[must_use]
    pub fn new(table: Table, name: &str) -> Self {
        let mut nft = Nft::existing(table, name);
        let mut message = header(table);
        message.str(1, name);
        nft.push(NEWTABLE, NLM_F_CREATE, message);
        nft
    }

    /// A table that is there.
    #[must_use]
    pub fn existing(table: Table, name: &str) -> Self {
        Nft { table, name: name.to_owned(), messages: Vec::new(), set_id: 0, error: None }
    }

    fn push(&mut self, kind: u16, flags: u16, message: Builder) {
        match message.finish() {
            Ok(payload) => {
                self.messages.push(BatchMessage { kind: (SUBSYSTEM << 8) | kind, flags, payload });
            }
            Err(error) => self.error = Some(error.into()),
        }
    }

    /// A chain reached only by jumps.
    #[must_use]
    pub fn chain(mut self, name: &str) -> Self {
        let mut message = header(self.table);
        message.str(1, &self.name).str(3, name);
        self.push(NEWCHAIN, NLM_F_CREATE, message);
        self
    }

    /// A filter chain at a hook.
    #[must_use]
    pub fn base(self, name: &str, hook: Hook, priority: i32, policy: Policy) -> Self {
        self.base_of("filter", name, hook, priority, policy, None)
    }

    /// A nat chain at a hook.
    #[must_use]
    pub fn nat(self, name: &str, hook: Hook, priority: i32) -> Self {
        self.base_of("nat", name, hook, priority, Policy::Accept, None)
    }

    /// A filter chain at a device's hook (families netdev and inet).
    #[must_use]
    pub fn device(self, name: &str, hook: Hook, device: &str, policy: Policy) -> Self {
        self.base_of("filter", name, hook, 0, policy, Some(device))
    }

    fn base_of(
        mut self,
        kind: &str,
        name: &str,
        hook: Hook,
        priority: i32,
        policy: Policy,
        device: Option<&str>,
    ) -> Self {
        let number = hook.number(self.table);
        let mut message = header(self.table);
        message.str(1, &self.name).str(3, name).nest(4, |inside| {
            inside.be32(1, number).bytes(2, &priority.to_be_bytes());
            if let Some(device) = device {
                inside.str(3, device);
            }
        });
        message.be32(5, policy as u32).str(7, kind);
        self.push(NEWCHAIN, NLM_F_CREATE, message);
        self
    }

    /// A rule at the end of a chain.
    #[must_use]
    pub fn rule(self, chain: &str, write: impl FnOnce(Expressions) -> Expressions) -> Self {
        self.rule_at(chain, NLM_F_APPEND, None, write)
    }

    /// A rule at the start of a chain, or before the one with this handle.
    #[must_use]
    pub fn insert(
        self,
        chain: &str,
        before: Option<u64>,
        write: impl FnOnce(Expressions) -> Expressions,
    ) -> Self {
        self.rule_at(chain, 0, before, write)
    }

    fn rule_at(
        mut self,
        chain: &str,
        flags: u16,
        position: Option<u64>,
        write: impl FnOnce(Expressions) -> Expressions,
    ) -> Self {
        match write(Expressions::new(self.table)).finish() {
            Ok(expressions) => {
                let mut message = header(self.table);
                message.str(1, &self.name).str(2, chain);
                let nest = message.begin(4);
                message.raw(&expressions);
                message.end(nest);
                if let Some(position) = position {
                    message.be64(6, position);
                }
                self.push(NEWRULE, NLM_F_CREATE | NLM_F_ECHO | flags, message);
            }
            Err(error) => self.error = Some(error),
        }
        self
    }

    /// Sends it. The handles of the rules come back in the order they were written.
    pub fn commit<T: Netfilter>(self, through: &mut T) -> Result<Vec<u64>, T::Error> {
        if let Some(error) = self.error {
            return Err(error.into());
        }
        let replies = through.socket()?.batch(SUBSYSTEM, &self.messages).map_err(ChangeError::from)?;
        let rules = replies.iter().filter(|reply| reply.kind == (SUBSYSTEM << 8) | NEWRULE);
        let handles = rules.filter_map(|reply| Attributes::after(&reply.payload, 4).find(3)?.be64().ok());
        Ok(handles.collect())
    }

    /// As [`Self::commit`], for a table of which one rule is of interest: the handle of the last one.
    pub fn commit_last<T: Netfilter>(self, through: &mut T) -> Result<u64, T::Error> {
        let table = self.name.clone();
        let last = self.commit(through)?.pop();
        last.ok_or_else(|| {
            ChangeError::Unexpected(format!("the kernel named no rule of table {table}")).into()
        })
    }
}

/// What has a netfilter socket: the socket itself, or something that opens one when it is needed.
pub trait Netfilter {
    /// What its users report errors as.
    type Error: From<ChangeError>;

    /// A socket of `NETLINK_NETFILTER`.
    fn socket(&mut self) -> Result<&mut Socket, Self::Error>;
}

impl Netfilter for Socket {
    type Error = ChangeError;

    fn socket(&mut self) -> Result<&mut Socket> {
        Ok(self)
    }
}

/// Changes what is already there, through a netfilter socket.
#[derive(Debug)]
pub struct NftWriter<'a> {
    socket: &'a mut Socket,
}

impl<'a> NftWriter<'a> {
    /// Through a socket of `NETLINK_NETFILTER`.
    pub const fn new(socket: &'a mut Socket) -> Self {
        NftWriter { socket }
    }

    fn order(&mut self, kind: u16, flags: u16, message: Builder) -> Result<()> {
        let one = BatchMessage { kind: (SUBSYSTEM << 8) | kind, flags, payload: message.finish()? };
        self.socket.batch(SUBSYSTEM, &[one])?;
        Ok(())
    }

    /// Removes a rule.
    pub fn delete_rule(&mut self, table: Table, name: &str, chain: &str, handle: u64) -> Result<()> {
        let mut message = header(table);
        message.str(1, name).str(2, chain).be64(3, handle);
        self.order(DELRULE, 0, message)
    }

    /// Removes all rules of a chain.
    pub fn flush_chain(&mut self, table: Table, name: &str, chain: &str) -> Result<()> {
        let mut message = header(table);
        message.str(1, name).str(2, chain);
        self.order(DELRULE, 0, message)
    }

    /// Removes a table.
    pub fn delete_table(&mut self, table: Table, name: &str) -> Result<()> {
        let mut message = header(table);
        message.str(1, name);
        self.order(DELTABLE, 0, message)
    }

    /// Changes the policy of a base chain.
    pub fn policy(&mut self, table: Table, name: &str, chain: &str, policy: Policy) -> Result<()> {
        let mut message = header(table);
        message.str(1, name).str(3, chain).be32(5, policy as u32);
        self.order(NEWCHAIN, 0, message)
    }
}
