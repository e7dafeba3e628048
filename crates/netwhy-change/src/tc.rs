//! Traffic control (rtnetlink `RTM_NEWQDISC`, `RTM_NEWTFILTER`, uapi `linux/pkt_sched.h`, `linux/pkt_cls.h`).

use std::os::fd::{AsRawFd, BorrowedFd};

use netwhy_wire::netlink::Builder;

use crate::words::CREATE;
use crate::{Result, RouteWriter};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_BURST: u16 = 6;

/// Where a qdisc without a parent hangs.
pub const ROOT: u32 = 0xffff_ffff;
/// The qdisc that only holds filters.
pub const CLSACT: u32 = 0xffff_fff1;
/// Filters on what comes in.
pub const INGRESS: u32 = 0xffff_fff2;
/// Filters on what goes out.
pub const EGRESS: u32 = 0xffff_fff3;

/// `struct tcmsg`.
fn header(index: u32, handle: u32, parent: u32, info: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (place, value) in bytes[4..].chunks_exact_mut(4).zip([index, handle, parent, info]) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

/// Priority and protocol of a filter; every protocol.
fn info(priority: u16) -> u32 {
    const ETH_P_ALL: u16 = 3;
    (u32::from(priority) << 16) | u32::from(ETH_P_ALL.to_be())
}

impl RouteWriter<'_> {
    /// Adds the clsact qdisc to a device.
    pub fn clsact_add(&mut self, device: &str) -> Result<()> {
        let mut message = Builder::with_header(&header(self.index(device)?, 0xffff_0000, CLSACT, 0));
        message.str(TCA_KIND, "clsact");
        self.order(format!("add clsact on {device}"), RTM_NEWQDISC, CREATE, message)
    }

    /// Adds a classic BPF filter (direct action) at [`INGRESS`] or [`EGRESS`].
    pub fn filter_bpf_add(
        &mut self,
        device: &str,
        at: u32,
        priority: u16,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> Result<()> {
        let mut message = Builder::with_header(&header(self.index(device)?, 1, at, info(priority)));
        let fd = program.as_raw_fd();
        message.str(TCA_KIND, "bpf").nest(TCA_OPTIONS, |options| {
            options.i32(TCA_BPF_FD, fd).str(TCA_BPF_NAME, name).u32(TCA_BPF_FLAGS, 1);
        });
        self.order(format!("add bpf filter on {device}"), RTM_NEWTFILTER, CREATE, message)
    }

    /// Removes the filters of a priority; 0 is all of them.
    pub fn filter_del(&mut self, device: &str, at: u32, priority: u16) -> Result<()> {
        let info = if priority == 0 { 0 } else { info(priority) };
        let message = Builder::with_header(&header(self.index(device)?, 0, at, info));
        self.order(format!("delete filter on {device}"), RTM_DELTFILTER, 0, message)
    }

    /// A token bucket as the root qdisc: bytes a second, bytes in the bucket, bytes that may wait. What is
    /// larger than the bucket never passes.
    pub fn tbf_add(&mut self, device: &str, rate: u32, bucket: u32, limit: u32) -> Result<()> {
        let mut message = Builder::with_header(&header(self.index(device)?, 0x8001_0000, ROOT, 0));
        // struct tc_tbf_qopt: two struct tc_ratespec (12 bytes, the rate last), limit, buffer, mtu.
        let mut parameters = [0; 36];
        parameters[1] = 1; // TC_LINKLAYER_ETHERNET: no rate table needed
        parameters[8..12].copy_from_slice(&rate.to_ne_bytes());
        parameters[24..28].copy_from_slice(&limit.to_ne_bytes());
        message.str(TCA_KIND, "tbf").nest(TCA_OPTIONS, |options| {
            options.bytes(TCA_TBF_PARMS, &parameters).u32(TCA_TBF_BURST, bucket);
        });
        self.order(format!("add tbf on {device}"), RTM_NEWQDISC, CREATE, message)
    }

    /// Removes a qdisc: [`ROOT`] or [`CLSACT`].
    pub fn qdisc_del(&mut self, device: &str, parent: u32) -> Result<()> {
        let message = Builder::with_header(&header(self.index(device)?, 0, parent, 0));
        self.order(format!("delete qdisc on {device}"), RTM_DELQDISC, 0, message)
    }
}
