//! Programs at netfilter hooks (links, since Linux 6.4).

use std::collections::BTreeSet;

use netwhy_sys::bpf::LinkAt;
use netwhy_sys::netlink::Protocol;
use netwhy_sys::{Errno, SysError};
use netwhy_wire::netlink::Builder;

use super::Found;
use crate::collector::Collector;
use crate::error::CollectError;
use crate::fields::Fields;
use crate::kernel::NETFILTER_HOOK;

/// `NFNL_SUBSYS_HOOK << 8 | NFNL_MSG_HOOK_GET`.
const HOOK_GET: u16 = 12 << 8;
/// `NFNLA_HOOK_HOOKNUM`.
const HOOKNUM: u16 = 1;
/// `NFNL_HOOK_TYPE_BPF`.
const TYPE_BPF: u32 = 2;

impl Found<'_> {
    /// A link does not tell which namespace it is in; the list of the namespace's hooks does, where the kernel
    /// has it. Where not, every link of the machine is taken: one too many is better than one too few.
    pub(super) fn netfilter(&mut self) -> Result<(), CollectError> {
        let Some(links) = &self.links else { return self.netfilter_without_links() };
        let mut all: Vec<_> = links
            .iter()
            .filter_map(|link| match link.at {
                LinkAt::Netfilter { family, hook, priority, .. } => {
                    Some((link.id, link.program, (u8::try_from(family).ok()?, hook, priority)))
                }
                _ => None,
            })
            .collect();
        if all.is_empty() {
            return Ok(());
        }
        let hooks: BTreeSet<_> = all.iter().map(|(.., (family, hook, _))| (*family, *hook)).collect();
        if let Some(here) = self.hooks_here(hooks)? {
            all.retain(|(_, program, place)| here.contains(&(*program, *place)));
        }
        all.sort_by_key(|(.., place)| *place);
        let mut last = None;
        let mut position = 0;
        for (link, program, place) in all {
            position = if last == Some((place.0, place.1)) { position + 1 } else { 0 };
            last = Some((place.0, place.1));
            self.add("netfilter", program, position, |one| {
                one.netfilter = Some(place);
                one.link_id = Some(link);
            });
        }
        Ok(())
    }
}

/// Family, hook and priority.
type Place = (u8, u32, i32);

impl Found<'_> {
    /// Where links may not be listed, the namespace's hooks still tell which programs are there. Where there is
    /// no such list either, nothing is known.
    fn netfilter_without_links(&mut self) -> Result<(), CollectError> {
        let hooks = [2, 10].into_iter().flat_map(|family| (0..5).map(move |hook| (family, hook))).collect();
        let Some(here) = self.hooks_here(hooks)? else {
            return Err(SysError::new("bpf link list", "", Errno::EPERM).into());
        };
        let mut last = None;
        let mut position = 0;
        for (program, place) in here {
            position = if last == Some((place.0, place.1)) { position + 1 } else { 0 };
            last = Some((place.0, place.1));
            self.add("netfilter", program, position, |one| one.netfilter = Some(place));
        }
        Ok(())
    }

    /// Programs of this namespace and their places; `None` if the kernel does not list hooks.
    fn hooks_here(&self, hooks: BTreeSet<(u8, u32)>) -> Result<Option<Vec<(u32, Place)>>, CollectError> {
        if self.collector.require(NETFILTER_HOOK).is_err() {
            return Ok(None);
        }
        let mut here = Vec::new();
        for (family, hook) in hooks {
            match self.collector.hook_programs(family, hook) {
                Ok(found) => {
                    here.extend(
                        found.into_iter().map(|(program, priority)| (program, (family, hook, priority))),
                    );
                }
                // What nfnetlink says to a subsystem that is not there.
                Err(error) if error.errno() == Some(Errno::EINVAL) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(here))
    }
}

impl Collector {
    /// The programs at one hook of this namespace, with their priorities.
    fn hook_programs(&self, family: u8, hook: u32) -> Result<Vec<(u32, i32)>, CollectError> {
        let mut request = Builder::with_header(&[family, 0, 0, 0]);
        request.be32(HOOKNUM, hook);
        let payload = request.finish()?;
        self.dump(Protocol::Netfilter, HOOK_GET, &payload, |all: &mut Vec<_>, _, payload| {
            all.extend(decode_hook(payload));
            Ok(())
        })
    }
}

/// Program and priority of a hook's entry (NFNLA_HOOK_*); `None` if it is not a program.
pub fn decode_hook(payload: &[u8]) -> Option<(u32, i32)> {
    let entry = Fields::of(payload.get(4..)?);
    let chain = Fields::of(entry.bytes(6)?);
    if chain.be32(2)? != TYPE_BPF {
        return None;
    }
    let program = Fields::of(chain.bytes(1)?).be32(1)?;
    Some((program, entry.be32(2)? as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_are_taken_from_a_hooks_list() {
        let entry = |kind: u32| {
            let mut message = Builder::with_header(&[2, 0, 0, 0]);
            message.be32(1, 1).be32(2, -5_i32 as u32).nest(6, |chain| {
                chain.nest(1, |desc| {
                    desc.be32(1, 99);
                });
                chain.be32(2, kind);
            });
            decode_hook(&message.finish().unwrap())
        };
        assert_eq!(entry(TYPE_BPF), Some((99, -5)));
        assert_eq!(entry(1), None, "an nftables chain");
        assert_eq!(decode_hook(&[2]), None);
    }
}
