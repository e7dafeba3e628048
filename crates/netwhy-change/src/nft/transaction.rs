//! A transaction of nftables from facts: tables, chains, rules, sets and elements added and removed, all or
//! nothing.

use netwhy_facts::nft::{Data, Expr, NftFamily};
use netwhy_sys::netlink::{
    BatchMessage, NLM_F_APPEND, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE, Reply, Socket,
};
use netwhy_wire::netlink::{Attributes, Builder};

use super::{
    DELRULE, DELSETELEM, DELTABLE, NEWCHAIN, NEWRULE, NEWSET, NEWSETELEM, NEWTABLE, SUBSYSTEM, expr,
};
use crate::{ChangeError, Result};

const DELCHAIN: u16 = 5;
const DELSET: u16 = 11;
const NEWOBJ: u16 = 18;
const DELOBJ: u16 = 20;

/// Where a rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Behind the last.
    End,
    /// Before the first.
    Start,
    /// Behind the one with a handle.
    After(u64),
    /// Before the one with a handle.
    Before(u64),
    /// Instead of the one with a handle.
    Instead(u64),
}

/// A base chain's hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseHook {
    /// filter, nat or route.
    pub kind: String,
    /// The hook's number in the family.
    pub number: u32,
    /// Lower runs first.
    pub priority: i32,
    /// Devices, for the hooks that have them.
    pub devices: Vec<String>,
    /// Whether it accepts what no rule decided; `None` leaves the default.
    pub accept: Option<bool>,
}

/// What a set is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetSpec {
    /// Its name; `__set%d` for an anonymous one.
    pub name: String,
    /// `NFT_SET_*`.
    pub flags: u32,
    /// nft's number of the key's type.
    pub key_type: u32,
    /// Bytes of a key.
    pub key_len: u32,
    /// nft's number of the data's type and its bytes, for a map.
    pub data: Option<(u32, u32)>,
    /// Bytes of each field of a concatenation.
    pub fields: Vec<u32>,
    /// Milliseconds an element lasts.
    pub timeout_ms: Option<u64>,
    /// Most elements.
    pub size: Option<u32>,
    /// Whether a key is kept in the host's order: user space remembers it to show the elements.
    pub host_order: bool,
    /// A number by which the transaction itself refers to it.
    pub id: u32,
}

/// An element.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ElementSpec {
    /// The key.
    pub key: Vec<u8>,
    /// The last key, for an interval of a concatenation.
    pub key_end: Option<Vec<u8>>,
    /// It only ends the interval before it.
    pub interval_end: bool,
    /// The data of a map.
    pub data: Option<Data>,
    /// Milliseconds it lasts.
    pub timeout_ms: Option<u64>,
    /// A comment.
    pub comment: Option<String>,
}

/// A transaction being written.
#[derive(Debug, Default)]
pub struct Transaction {
    messages: Vec<BatchMessage>,
}

impl Transaction {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Transaction::default()
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn push(&mut self, kind: u16, flags: u16, message: Builder) -> Result<()> {
        let payload = message.finish()?;
        self.messages.push(BatchMessage { kind: (SUBSYSTEM << 8) | kind, flags, payload });
        Ok(())
    }

    /// Adds a table; with `only_new`, fails if it is there.
    pub fn add_table(&mut self, family: NftFamily, table: &str, only_new: bool) -> Result<()> {
        let mut message = header(family);
        message.str(1, table).be32(2, 0);
        self.push(NEWTABLE, NLM_F_CREATE | exclusive(only_new), message)
    }

    /// Removes a table with everything in it.
    pub fn delete_table(&mut self, family: NftFamily, table: &str) -> Result<()> {
        let mut message = header(family);
        message.str(1, table);
        self.push(DELTABLE, 0, message)
    }

    /// Removes every table, of one family or (`None`) of all.
    pub fn flush_ruleset(&mut self, family: Option<NftFamily>) -> Result<()> {
        let message = Builder::with_header(&[family.map_or(0, NftFamily::number), 0, 0, 0]);
        self.push(DELTABLE, 0, message)
    }

    /// Adds a chain.
    pub fn add_chain(
        &mut self,
        family: NftFamily,
        table: &str,
        chain: &str,
        base: Option<&BaseHook>,
        only_new: bool,
    ) -> Result<()> {
        let mut message = header(family);
        message.str(1, table).str(3, chain);
        if let Some(base) = base {
            message.nest(4, |hook| {
                hook.be32(1, base.number).bytes(2, &base.priority.to_be_bytes());
                match base.devices.as_slice() {
                    [] => {}
                    [only] => _ = hook.str(3, only),
                    many => {
                        hook.nest(4, |list| many.iter().for_each(|device| _ = list.str(1, device)));
                    }
                }
            });
            if let Some(accept) = base.accept {
                message.be32(5, u32::from(accept));
            }
            message.str(7, &base.kind);
        }
        self.push(NEWCHAIN, NLM_F_CREATE | exclusive(only_new), message)
    }

    /// Removes a chain, which must be empty.
    pub fn delete_chain(&mut self, family: NftFamily, table: &str, chain: &str) -> Result<()> {
        let mut message = header(family);
        message.str(1, table).str(3, chain);
        self.push(DELCHAIN, 0, message)
    }

    /// Removes the rules of a chain, or (`None`) of all chains of a table.
    pub fn flush_chain(&mut self, family: NftFamily, table: &str, chain: Option<&str>) -> Result<()> {
        let mut message = header(family);
        message.str(1, table);
        if let Some(chain) = chain {
            message.str(2, chain);
        }
        self.push(DELRULE, 0, message)
    }

    /// Adds a rule. `anonymous` are the numbers of the sets of this transaction that its lookups in `__set%d`
    /// and `__map%d` refer to, in order.
    #[allow(clippy::too_many_arguments, reason = "a rule has as many parts")]
    pub fn add_rule(
        &mut self,
        family: NftFamily,
        table: &str,
        chain: &str,
        place: Place,
        exprs: &[Expr],
        comment: Option<&str>,
        anonymous: &[u32],
    ) -> Result<()> {
        let mut inner = Builder::new();
        expr::list(&mut inner, exprs, anonymous)?;
        let inner = inner.finish()?;
        let mut message = header(family);
        message.str(1, table).str(2, chain);
        if let Place::Instead(handle) = place {
            message.be64(3, handle);
        }
        let nest = message.begin(4);
        message.raw(&inner);
        message.end(nest);
        if let Place::After(handle) | Place::Before(handle) = place {
            message.be64(6, handle);
        }
        if let Some(comment) = comment {
            message.bytes(7, &userdata(comment)?);
        }
        let flags = match place {
            Place::End | Place::After(_) => NLM_F_CREATE | NLM_F_APPEND,
            Place::Start | Place::Before(_) => NLM_F_CREATE,
            Place::Instead(_) => NLM_F_REPLACE,
        };
        self.push(NEWRULE, flags | NLM_F_ECHO, message)
    }

    /// Removes a rule.
    pub fn delete_rule(&mut self, family: NftFamily, table: &str, chain: &str, handle: u64) -> Result<()> {
        let mut message = header(family);
        message.str(1, table).str(2, chain).be64(3, handle);
        self.push(DELRULE, 0, message)
    }

    /// Adds a set or map.
    pub fn add_set(&mut self, family: NftFamily, table: &str, set: &SetSpec, only_new: bool) -> Result<()> {
        let mut message = header(family);
        message.str(1, table).str(2, &set.name).be32(3, set.flags);
        message.be32(4, set.key_type).be32(5, set.key_len);
        if let Some((kind, length)) = set.data {
            message.be32(6, kind).be32(7, length);
        }
        message.nest(9, |description| {
            if let Some(size) = set.size {
                description.be32(1, size);
            }
            if !set.fields.is_empty() {
                description.nest(2, |list| {
                    for field in &set.fields {
                        list.nest(1, |one| _ = one.be32(1, *field));
                    }
                });
            }
        });
        message.be32(10, set.id);
        if let Some(timeout) = set.timeout_ms {
            message.be64(11, timeout);
        }
        // User data as nft keeps it: entry 0 is the order of the key's bytes, 1 the host's, 2 the network's; none
        // for a concatenation.
        let order = if set.host_order { 1_u32 } else { 2 };
        let order = if set.key_type > 0x3f { 0 } else { order };
        let [a, b, c, d] = order.to_ne_bytes();
        message.bytes(13, &[0, 4, a, b, c, d]);
        self.push(NEWSET, NLM_F_CREATE | exclusive(only_new), message)
    }

    /// Removes a set.
    pub fn delete_set(&mut self, family: NftFamily, table: &str, set: &str) -> Result<()> {
        let mut message = header(family);
        message.str(1, table).str(2, set);
        self.push(DELSET, 0, message)
    }

    /// Adds elements; `id` is the set's number in this transaction, 0 for one that is there.
    pub fn add_elements(
        &mut self,
        family: NftFamily,
        table: &str,
        set: &str,
        id: u32,
        elements: &[ElementSpec],
    ) -> Result<()> {
        self.elements(NEWSETELEM, NLM_F_CREATE, (family, table, set), id, elements)
    }

    /// Removes elements.
    pub fn delete_elements(
        &mut self,
        family: NftFamily,
        table: &str,
        set: &str,
        elements: &[ElementSpec],
    ) -> Result<()> {
        self.elements(DELSETELEM, 0, (family, table, set), 0, elements)
    }

    /// Removes all elements of a set.
    pub fn flush_set(&mut self, family: NftFamily, table: &str, set: &str) -> Result<()> {
        let mut message = header(family);
        message.str(1, table).str(2, set);
        self.push(DELSETELEM, 0, message)
    }

    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        (family, table, set): (NftFamily, &str, &str),
        id: u32,
        elements: &[ElementSpec],
    ) -> Result<()> {
        // A nest holds at most 64 KiB.
        for part in elements.chunks(500) {
            let mut inner = Builder::new();
            for element in part {
                let comment = element.comment.as_deref().map(userdata).transpose()?;
                inner.nest(1, |one| {
                    one.nest(1, |key| _ = key.bytes(1, &element.key));
                    if let Some(end) = &element.key_end {
                        one.nest(10, |key| _ = key.bytes(1, end));
                    }
                    if let Some(data) = &element.data {
                        expr::data(one, 2, data);
                    }
                    if element.interval_end {
                        one.be32(3, 1);
                    }
                    if let Some(timeout) = element.timeout_ms {
                        one.be64(4, timeout);
                    }
                    if let Some(comment) = &comment {
                        one.bytes(6, comment);
                    }
                });
            }
            let inner = inner.finish()?;
            let mut message = header(family);
            message.str(1, table).str(2, set);
            let nest = message.begin(3);
            message.raw(&inner);
            message.end(nest);
            if id != 0 {
                message.be32(4, id);
            }
            self.push(kind, flags, message)?;
        }
        Ok(())
    }

    /// Adds a counter or quota.
    pub fn add_object(
        &mut self,
        family: NftFamily,
        table: &str,
        name: &str,
        object: &Expr,
        only_new: bool,
    ) -> Result<()> {
        let mut message = header(family);
        message.str(1, table).str(2, name);
        match object {
            Expr::Counter { packets, bytes } => {
                message.be32(3, 1).nest(4, |data| _ = data.be64(1, *bytes).be64(2, *packets));
            }
            Expr::Quota { bytes, consumed, over } => {
                message.be32(3, 2).nest(4, |data| {
                    data.be64(1, *bytes).be32(2, u32::from(*over)).be64(4, *consumed);
                });
            }
            _ => return Err(ChangeError::Usage("counters and quotas are made, and no other objects".into())),
        }
        self.push(NEWOBJ, NLM_F_CREATE | exclusive(only_new), message)
    }

    /// Removes an object of a kind (`NFT_OBJECT_*`).
    pub fn delete_object(&mut self, family: NftFamily, table: &str, name: &str, kind: u32) -> Result<()> {
        let mut message = header(family);
        message.str(1, table).str(2, name).be32(3, kind);
        self.push(DELOBJ, 0, message)
    }

    /// Carries it out. The handles of the rules come back in the order they were written.
    pub fn commit(self, socket: &mut Socket) -> Result<Vec<u64>> {
        let replies = socket.batch(SUBSYSTEM, &self.messages)?;
        let handle = |reply: &Reply| Attributes::after(&reply.payload, 4).find(3)?.be64().ok();
        let rules = replies.iter().filter(|reply| reply.kind == (SUBSYSTEM << 8) | NEWRULE);
        Ok(rules.filter_map(handle).collect())
    }
}

/// `struct nfgenmsg`.
fn header(family: NftFamily) -> Builder {
    Builder::with_header(&[family.number(), 0, 0, 0])
}

const fn exclusive(only_new: bool) -> u16 {
    if only_new { NLM_F_EXCL } else { 0 }
}

/// A comment as nft keeps it: type 0, length with the zero at its end, text.
fn userdata(comment: &str) -> Result<Vec<u8>> {
    let length = u8::try_from(comment.len() + 1).ok().filter(|length| *length <= 128);
    let Some(length) = length else {
        return Err(ChangeError::Usage("a comment has at most 127 bytes".into()));
    };
    let mut out = vec![0, length];
    out.extend_from_slice(comment.as_bytes());
    out.push(0);
    Ok(out)
}
