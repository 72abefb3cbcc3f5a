//! The options of the rendezvous handler, with PyTorch's names and defaults where it has them.

use super::options::{OptionInfo, OptionKind};

const fn seconds(name: &'static str, default: &'static str, doc: &'static str) -> OptionInfo {
    OptionInfo { name, default: Some(default), kind: OptionKind::Seconds { min: 1 }, doc }
}

pub(crate) const JOIN_TIMEOUT: OptionInfo =
    seconds("join_timeout", "600", "Handler: how long a node waits for enough others.");

pub(crate) const LAST_CALL_TIMEOUT: OptionInfo =
    seconds("last_call_timeout", "30", "Handler: how long further nodes are waited for once there are enough.");

pub(crate) const CLOSE_TIMEOUT: OptionInfo =
    seconds("close_timeout", "30", "Handler: how long closing the run may take.");

pub(crate) const HEARTBEAT_TIMEOUT: OptionInfo =
    seconds("heartbeat_timeout", "5", "Handler: how long writing one heartbeat may take.");

pub(crate) const KEEP_ALIVE_INTERVAL: OptionInfo =
    seconds("keep_alive_interval", "5", "Handler: how often a node writes a heartbeat.");

pub(crate) const KEEP_ALIVE_MAX_ATTEMPT: OptionInfo = OptionInfo {
    name: "keep_alive_max_attempt",
    default: Some("3"),
    kind: OptionKind::Count { min: 1 },
    doc: "Handler: after how many missed heartbeats a node is dead.",
};

pub(crate) const LOCAL_ADDR: OptionInfo = OptionInfo {
    name: "local_addr",
    default: None,
    kind: OptionKind::Text,
    doc: "Handler: the address of this node, by which nodes are also ranked; the host's name where not set.",
};

pub(crate) const STATE_DIALECT: OptionInfo = OptionInfo {
    name: "state_dialect",
    default: Some("2.6"),
    kind: OptionKind::Choice(&["1.13", "2.0", "2.4", "2.6"]),
    doc: "Handler: the oldest PyTorch with which a run that this node begins is shared; a run in progress keeps its own.",
};
