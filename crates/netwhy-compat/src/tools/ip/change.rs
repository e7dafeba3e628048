//! The verbs of `ip` that change something: words become one message, the old state becomes the undo.

pub(super) mod addr;
pub(super) mod kinds;
pub(super) mod link;
pub(super) mod neigh;
pub(super) mod nexthop;
pub(super) mod route;
pub(super) mod rule;
pub(super) mod xdp;

use netwhy_sys::netlink::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};

use crate::iproute::{Ctx, Look, Page};
use crate::session::ToolError;

/// Flags of a request by verb: make it, make it or take the place of what is there, ...
pub(super) fn flags(verb: &str) -> u16 {
    match verb {
        "add" => NLM_F_CREATE | NLM_F_EXCL,
        "replace" => NLM_F_CREATE | NLM_F_REPLACE,
        "change" | "chg" => NLM_F_REPLACE,
        "append" => NLM_F_CREATE | NLM_F_APPEND,
        "prepend" => NLM_F_CREATE,
        _ => 0,
    }
}

/// What an object looks like in `ip`'s own words: the undo of its removal is to add these. One line.
pub(super) fn written(
    look: &Look,
    print: impl FnOnce(&mut Page<'_>, &Look) -> Result<(), ToolError>,
) -> Result<String, ToolError> {
    let mut bytes = Vec::new();
    let mut page = Page::new(&mut bytes);
    page.set_text(true, false);
    print(&mut page, look)?;
    page.flush()?;
    let text = String::from_utf8_lossy(&bytes).replace('\\', " ");
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A message is finished only when it is sent; until then a too long one is an error of its own.
pub(super) fn too_long(error: netwhy_wire::netlink::TooLong) -> ToolError {
    ToolError::failed(error.to_string(), 2)
}

/// `-4` or `-6` as a word of the undo.
pub(super) fn family_flag(ctx: &Ctx<'_>) -> &'static str {
    match ctx.look.options.family {
        crate::iproute::AF_INET6 => "-6 ",
        _ => "",
    }
}
