//! In which of PyTorch's forms a state is stored.

use std::str::FromStr;

use crate::Error;

/// What the address of a node is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKey {
    /// `fqdn`: PyTorch 1.13 and before.
    Fqdn,
    /// `addr`: PyTorch 2.0 and later.
    Addr,
}

/// The form in which some versions of PyTorch store the state. Nodes of different forms cannot share a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// What the address of a node is called.
    pub node_key: NodeKey,
    /// Whether there is a list of spare nodes (PyTorch 2.4 has it, 2.2 does not).
    pub redundancy_list: bool,
    /// Whether times carry their time zone (PyTorch 2.6 has it, 2.4 does not).
    pub aware_times: bool,
}

impl Dialect {
    /// PyTorch 1.13.
    pub const TORCH_1_13: Self = Self { node_key: NodeKey::Fqdn, redundancy_list: false, aware_times: false };
    /// PyTorch 2.0 to 2.2.
    pub const TORCH_2_0: Self = Self { node_key: NodeKey::Addr, ..Self::TORCH_1_13 };
    /// PyTorch 2.4.
    pub const TORCH_2_4: Self = Self { redundancy_list: true, ..Self::TORCH_2_0 };
    /// PyTorch 2.6 and later: the default.
    pub const TORCH_2_6: Self = Self { aware_times: true, ..Self::TORCH_2_4 };
}

impl Default for Dialect {
    fn default() -> Self {
        Self::TORCH_2_6
    }
}

impl FromStr for Dialect {
    type Err = Error;

    /// Reads the value of the option `state_dialect`: the first PyTorch version that has the form.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "1.13" => Ok(Self::TORCH_1_13),
            "2.0" => Ok(Self::TORCH_2_0),
            "2.4" => Ok(Self::TORCH_2_4),
            "2.6" => Ok(Self::TORCH_2_6),
            _ => Err(Error::InvalidArgument("The state dialect must be 1.13, 2.0, 2.4, or 2.6.".into())),
        }
    }
}

/// What a stored state shows of its dialect. One without nodes or times does not show all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) node_key: Option<NodeKey>,
    pub(super) redundancy_list: bool,
    pub(super) aware_times: Option<bool>,
}

impl Seen {
    /// The dialect seen; what was not seen is as in `usual`, where that can be.
    pub(super) fn dialect(self, usual: Dialect) -> Dialect {
        let Self { redundancy_list, .. } = self;
        // The forms came one after the other: aware times imply the list, and the list implies `addr`.
        let node_key = match self.node_key {
            Some(key) => key,
            None if redundancy_list => NodeKey::Addr,
            None => usual.node_key,
        };
        let aware_times = self.aware_times.unwrap_or(redundancy_list && usual.aware_times);
        Dialect { node_key, redundancy_list, aware_times }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_versions() {
        assert_eq!(" 1.13 ".parse::<Dialect>().unwrap(), Dialect::TORCH_1_13);
        assert_eq!("2.6".parse::<Dialect>().unwrap(), Dialect::default());
        let error = "2.5".parse::<Dialect>().unwrap_err();
        assert_eq!(error.to_string(), "The state dialect must be 1.13, 2.0, 2.4, or 2.6.");
    }

    #[test]
    fn what_was_not_seen_is_guessed_within_reason() {
        let nothing = Seen::default();
        assert_eq!(nothing.dialect(Dialect::TORCH_1_13), Dialect::TORCH_1_13);
        assert_eq!(nothing.dialect(Dialect::TORCH_2_6), Dialect::TORCH_2_0);
        let listed = Seen { redundancy_list: true, ..nothing };
        assert_eq!(listed.dialect(Dialect::TORCH_1_13), Dialect::TORCH_2_4);
        assert_eq!(listed.dialect(Dialect::TORCH_2_6), Dialect::TORCH_2_6);
    }
}
