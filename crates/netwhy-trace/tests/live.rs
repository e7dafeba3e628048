//! Every tool sees what it is there for, made in two private namespaces over a veth pair.
//!
//! Longer than it looks: one module a family of tools, below `live/`.

mod live {
    mod more;
    mod net;
    mod packet;
    mod packets;
    mod tcp;
}
