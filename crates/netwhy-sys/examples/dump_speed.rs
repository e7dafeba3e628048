//! How fast a large listing is read: fills a namespace of its own with routes and dumps them.
//!
//! `cargo run --release -p netwhy-sys --example dump_speed [ROUTES]`, as root; 65,536 routes if not said.

use std::ops::ControlFlow;
use std::time::Instant;

use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_EXCL, Protocol, Socket};
use netwhy_sys::{clock, netns};

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

/// `struct rtmsg` of a blackhole route in the main table, and RTA_DST.
fn blackhole(number: u32) -> Vec<u8> {
    let destination = (0xc612_0000 | number & 0x1_ffff).to_be_bytes();
    let mut payload = vec![2, 32, 0, 0, 254, 4, 0, 6, 0, 0, 0, 0];
    payload.extend_from_slice(&8_u16.to_ne_bytes());
    payload.extend_from_slice(&1_u16.to_ne_bytes());
    payload.extend_from_slice(&destination);
    payload
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let routes: u32 = std::env::args().nth(1).map_or(Ok(65_536), |word| word.parse())?;
    if routes > 1 << 17 {
        return Err("at most 131072 routes fit 198.18.0.0/15".into());
    }
    netns::in_new_netns(|| -> Result<(), netwhy_sys::netlink::NetlinkError> {
        let mut socket = Socket::open(Protocol::Route)?;
        let began = Instant::now();
        for number in 0..routes {
            socket.ack(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &blackhole(number))?;
        }
        println!("{routes} routes made in {:?}", began.elapsed());
        let header = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for _ in 0..3 {
            let (began, cpu) = (Instant::now(), clock::cpu_time());
            let (mut seen, mut bytes) = (0_u32, 0_usize);
            socket.dump(RTM_GETROUTE, 0, &header, |_, payload| {
                seen += 1;
                bytes += payload.len();
                ControlFlow::Continue(())
            })?;
            let (elapsed, cpu) = (began.elapsed(), clock::cpu_time() - cpu);
            println!("{seen} routes, {bytes} bytes read in {elapsed:?}, {cpu:?} of processor time");
        }
        println!("{} KiB resident at most", clock::peak_rss() / 1024);
        Ok(())
    })??;
    Ok(())
}
