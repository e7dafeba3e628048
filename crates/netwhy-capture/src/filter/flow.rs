//! A [`FlowFilter`] as classic BPF.
//!
//! The program is a list of blocks. A block loads and compares until something differs, then goes on to the
//! next block; a block that holds to its end accepts. Sections for IPv4, IPv6 and ARP are reached by EtherType.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netwhy_wire::packet::ethernet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN,
};
use netwhy_wire::packet::{arp, icmp, icmpv6, ipv6, protocol};

use super::asm::{AD_PROTOCOL, Asm, Label, NET, op};
use super::{Direction, FlowFilter, Instruction, TooLong, Tuple};

/// IPv6 extension header: fragment.
const FRAGMENT: u8 = 44;
/// ICMPv4 error types: unreachable, source quench, redirect, time exceeded, parameter problem.
const ERRORS: [u8; 5] = [icmp::UNREACHABLE, 4, 5, icmp::TIME_EXCEEDED, 12];

impl FlowFilter {
    /// The filter for the kernel. Of each packet it lets through, at most `snaplen` bytes are delivered.
    pub fn program(&self, snaplen: u32) -> Result<Vec<Instruction>, TooLong> {
        let mut program = Program { asm: Asm::default(), filter: self, snaplen };
        let [tagged, untagged, inline] = [(); 3].map(|()| program.asm.label());
        let plain = Sections { ethertypes: SECTIONS, labels: SECTIONS.map(|_| program.asm.label()) };
        program.asm.push(op::LD_W, AD_PROTOCOL);
        program.asm.when(op::JEQ, ETHERTYPE_VLAN.into(), tagged);
        program.asm.when(op::JEQ, ETHERTYPE_QINQ.into(), tagged);
        program.asm.jump(untagged);
        program.asm.bind(tagged);
        // Received with two tags: the network header is the inner tag, its EtherType the second half of it, and
        // what follows is what that says.
        let behind = Sections { ethertypes: SECTIONS, labels: SECTIONS.map(|_| program.asm.label()) };
        for ((ethertype, label), (load, mask, value)) in
            behind.values().zip([(op::LD_B, 0xf0, 0x40), (op::LD_B, 0xf0, 0x60), (op::LD_W, !0, 0x0001_0800)])
        {
            let other = program.asm.label();
            program.asm.push(op::LD_H, NET + 2);
            program.asm.unless(op::JEQ, ethertype, other);
            program.asm.push(load, NET + 4);
            program.asm.push(op::AND, mask);
            program.asm.unless(op::JEQ, value, other);
            program.asm.jump(label);
            program.asm.bind(other);
        }
        program.asm.jump(inline);
        program.sections(&behind, 4, Some(inline));
        // Sent with a tag: the network header is right, only the EtherType hides what it is.
        program.asm.bind(inline);
        let [four, six, arp] = plain.labels;
        program.asm.push(op::LD_B, NET);
        program.asm.push(op::AND, 0xf0);
        let other = program.asm.label();
        program.dispatch([(0x40, four), (0x60, six)], other);
        program.asm.bind(other);
        program.asm.push(op::LD_W, NET);
        let other = program.asm.label();
        program.dispatch([(0x0001_0800, arp)], other);
        program.asm.bind(other);
        program.asm.push(op::RET, 0);
        program.asm.bind(untagged);
        let other = program.asm.label();
        program.dispatch(plain.values(), other);
        program.asm.bind(other);
        program.asm.push(op::RET, 0);
        program.sections(&plain, 0, None);
        program.asm.finish()
    }
}

/// The sections there are.
const SECTIONS: [u16; 3] = [ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_ARP];

/// One copy of the sections: where each begins.
struct Sections {
    ethertypes: [u16; 3],
    labels: [Label; 3],
}

impl Sections {
    fn values(&self) -> impl Iterator<Item = (u32, Label)> + use<> {
        self.ethertypes.map(u32::from).into_iter().zip(self.labels)
    }
}

struct Program<'a> {
    asm: Asm,
    filter: &'a FlowFilter,
    snaplen: u32,
}

impl Program<'_> {
    /// Goes where the accumulator's value leads, else to `other`; any distance.
    fn dispatch(&mut self, values: impl IntoIterator<Item = (u32, Label)>, other: Label) {
        for (value, label) in values {
            let next = self.asm.label();
            self.asm.unless(op::JEQ, value, next);
            self.asm.jump(label);
            self.asm.bind(next);
        }
        self.asm.jump(other);
    }

    /// The sections for a network header `base` bytes on. What one does not accept goes on to `miss`, or is
    /// rejected.
    fn sections(&mut self, sections: &Sections, base: u32, miss: Option<Label>) {
        for (ethertype, label) in sections.ethertypes.into_iter().zip(sections.labels) {
            self.asm.bind(label);
            self.section(ethertype, base);
            match miss {
                Some(miss) => self.asm.jump(miss),
                None => self.asm.push(op::RET, 0),
            }
        }
    }

    fn section(&mut self, ethertype: u16, base: u32) {
        match ethertype {
            ETHERTYPE_IPV4 => self.ipv4(NET + base),
            ETHERTYPE_IPV6 => self.ipv6(NET + base),
            _ => self.arp(NET + base),
        }
    }

    fn directions(&self, ipv4: bool) -> Vec<Direction> {
        let all = self.filter.tuples.iter().flat_map(Tuple::directions);
        all.filter(|direction| direction.is_ipv4() == ipv4).collect()
    }

    fn accept(&mut self) {
        self.asm.push(op::RET, self.snaplen);
    }

    fn ipv4(&mut self, net: u32) {
        let directions = self.directions(true);
        for direction in &directions {
            let (next, accept) = (self.asm.label(), self.asm.label());
            self.asm.push(op::LD_B, net + 9);
            self.asm.unless(op::JEQ, direction.protocol.into(), next);
            self.address(op::LD_W, net + 12, direction.src, next);
            self.address(op::LD_W, net + 16, direction.dst, next);
            self.asm.push(op::LD_H, net + 6);
            self.asm.when(op::JSET, 0x1fff, accept);
            self.asm.push(op::LDX_MSH, net);
            self.transport(true, net, direction, next);
            self.asm.bind(accept);
            self.accept();
            self.asm.bind(next);
        }
        for direction in &directions {
            self.icmp_error(net, direction);
        }
    }

    /// An ICMP error whose quoted packet went in this direction.
    fn icmp_error(&mut self, net: u32, direction: &Direction) {
        let (next, error) = (self.asm.label(), self.asm.label());
        self.asm.push(op::LD_B, net + 9);
        self.asm.unless(op::JEQ, protocol::ICMP.into(), next);
        self.asm.push(op::LD_H, net + 6);
        self.asm.when(op::JSET, 0x1fff, next);
        self.asm.push(op::LDX_MSH, net);
        self.asm.push(op::LD_B_X, net);
        for kind in ERRORS {
            self.asm.when(op::JEQ, kind.into(), error);
        }
        self.asm.jump(next);
        self.asm.bind(error);
        let inner = net + icmp::HEADER as u32;
        self.asm.push(op::LD_B_X, inner + 9);
        self.asm.unless(op::JEQ, direction.protocol.into(), next);
        self.address(op::LD_W_X, inner + 12, direction.src, next);
        self.address(op::LD_W_X, inner + 16, direction.dst, next);
        // The words of a later fragment are no ports.
        self.asm.push(op::LD_H_X, inner + 6);
        self.asm.when(op::JSET, 0x1fff, next);
        // X: outer header length; add the inner one.
        self.asm.push(op::LD_B_X, inner);
        self.asm.push(op::AND, 0x0f);
        self.asm.push(op::LSH, 2);
        self.asm.push(op::ADD_X, 0);
        self.asm.push(op::TAX, 0);
        self.transport(true, inner, direction, next);
        self.accept();
        self.asm.bind(next);
    }

    fn ipv6(&mut self, net: u32) {
        let directions = self.directions(false);
        let transport = net + ipv6::HEADER as u32;
        for direction in &directions {
            let (next, fragment, plain) = (self.asm.label(), self.asm.label(), self.asm.label());
            self.address(op::LD_W, net + 8, direction.src, next);
            self.address(op::LD_W, net + 24, direction.dst, next);
            self.asm.push(op::LD_B, net + 6);
            self.asm.when(op::JEQ, FRAGMENT.into(), fragment);
            self.asm.unless(op::JEQ, direction.protocol.into(), next);
            self.asm.jump(plain);
            // Any fragment of this protocol between the two.
            self.asm.bind(fragment);
            self.asm.push(op::LD_B, transport);
            self.asm.unless(op::JEQ, direction.protocol.into(), next);
            self.accept();
            self.asm.bind(plain);
            self.transport(false, transport, direction, next);
            self.accept();
            self.asm.bind(next);
        }
        for direction in &directions {
            let next = self.asm.label();
            self.icmpv6_type(net, next);
            self.asm.when(op::JGE, icmpv6::ECHO.into(), next);
            let inner = transport + icmpv6::HEADER as u32;
            self.asm.push(op::LD_B, inner + 6);
            self.asm.unless(op::JEQ, direction.protocol.into(), next);
            self.address(op::LD_W, inner + 8, direction.src, next);
            self.address(op::LD_W, inner + 24, direction.dst, next);
            self.transport(false, inner + ipv6::HEADER as u32, direction, next);
            self.accept();
            self.asm.bind(next);
        }
        self.discovery(net);
    }

    /// Neighbour discovery: solicitations for and advertisements of a neighbour, and whatever it solicits.
    fn discovery(&mut self, net: u32) {
        let target = net + (ipv6::HEADER + icmpv6::HEADER) as u32;
        for neighbour in v6(self.filter.neighbours.iter().copied()) {
            let (next, either) = (self.asm.label(), self.asm.label());
            self.icmpv6_type(net, next);
            self.asm.when(op::JEQ, icmpv6::NEIGHBOUR_ADVERT.into(), either);
            self.asm.unless(op::JEQ, icmpv6::NEIGHBOUR_SOLICIT.into(), next);
            self.asm.bind(either);
            self.address(op::LD_W, target, Some(neighbour.into()), next);
            self.accept();
            self.asm.bind(next);
            let next = self.asm.label();
            self.icmpv6_type(net, next);
            self.asm.unless(op::JEQ, icmpv6::NEIGHBOUR_SOLICIT.into(), next);
            self.address(op::LD_W, net + 8, Some(neighbour.into()), next);
            self.accept();
            self.asm.bind(next);
        }
    }

    /// Loads the type of an ICMPv6 message, or goes to `next`.
    fn icmpv6_type(&mut self, net: u32, next: Label) {
        self.asm.push(op::LD_B, net + 6);
        self.asm.unless(op::JEQ, protocol::ICMPV6.into(), next);
        self.asm.push(op::LD_B, net + ipv6::HEADER as u32);
    }

    fn arp(&mut self, net: u32) {
        const SENDER: u32 = 14;
        const TARGET: u32 = 24;
        for neighbour in v4(self.filter.neighbours.iter().copied()) {
            let (next, reply) = (self.asm.label(), self.asm.label());
            self.address(op::LD_W, net + TARGET, Some(neighbour.into()), next);
            self.accept();
            self.asm.bind(next);
            let next = self.asm.label();
            self.address(op::LD_W, net + SENDER, Some(neighbour.into()), next);
            self.asm.push(op::LD_H, net + 6);
            self.asm.when(op::JEQ, arp::REPLY.into(), reply);
            self.asm.push(op::LD_W, net + TARGET);
            for own in v4(self.filter.own_addresses()) {
                self.asm.when(op::JEQ, own.into(), reply);
            }
            self.asm.jump(next);
            self.asm.bind(reply);
            self.accept();
            self.asm.bind(next);
        }
    }

    /// Compares an address with the packet's at `at`; any will do for `None`.
    fn address(&mut self, load: u16, at: u32, address: Option<IpAddr>, next: Label) {
        let words = match address {
            None => return,
            Some(IpAddr::V4(address)) => vec![u32::from(address)],
            Some(IpAddr::V6(address)) => {
                let bits = u128::from(address);
                [96, 64, 32, 0].map(|shift| (bits >> shift) as u32).to_vec()
            }
        };
        for (at, word) in (at..).step_by(4).zip(words) {
            self.asm.push(load, at);
            self.asm.unless(op::JEQ, word, next);
        }
    }

    /// Compares ports, or type and identifier of an echo. The transport header is at `X + at` if `indexed`.
    fn transport(&mut self, indexed: bool, at: u32, direction: &Direction, next: Label) {
        let (byte, half) = if indexed { (op::LD_B_X, op::LD_H_X) } else { (op::LD_B, op::LD_H) };
        let mut want = |load, at, value: Option<u32>| {
            if let Some(value) = value {
                self.asm.push(load, at);
                self.asm.unless(op::JEQ, value, next);
            }
        };
        if let Some((kind, id)) = direction.echo {
            want(byte, at, Some(kind.into()));
            want(half, at + 4, id.map(u32::from));
        }
        want(half, at, direction.ports.0.map(u32::from));
        want(half, at + 2, direction.ports.1.map(u32::from));
    }
}

fn v4(addresses: impl Iterator<Item = IpAddr>) -> Vec<Ipv4Addr> {
    let mut found: Vec<_> =
        addresses.filter_map(|a| if let IpAddr::V4(a) = a { Some(a) } else { None }).collect();
    found.sort();
    found.dedup();
    found
}

fn v6(addresses: impl Iterator<Item = IpAddr>) -> Vec<Ipv6Addr> {
    let mut found: Vec<_> =
        addresses.filter_map(|a| if let IpAddr::V6(a) = a { Some(a) } else { None }).collect();
    found.sort();
    found.dedup();
    found
}
