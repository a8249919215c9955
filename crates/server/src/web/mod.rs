//! HTTP itself: connections, who may call, bodies, and what every answer carries.

pub(crate) mod body;
pub(crate) mod faults;
pub(crate) mod guard;
pub(crate) mod listen;
pub(crate) mod page;

mod around;

pub(crate) use around::{RequestId, around};
