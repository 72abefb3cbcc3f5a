//! What a handler takes from the parameters.

use std::time::Duration;

use rustix::system::uname;

use crate::handler::pickle::Dialect;
use crate::handler::state::Settings;
use crate::params::{Params, handler_options as options};
use crate::{Error, Result};

/// The settings of a run, and the address of this node.
pub(super) fn read(params: &Params) -> Result<(Settings, String)> {
    let count = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let seconds = |option| params.number_of(option).map(Duration::from_secs);
    let settings = Settings {
        join_timeout: seconds(&options::JOIN_TIMEOUT)?,
        last_call_timeout: seconds(&options::LAST_CALL_TIMEOUT)?,
        close_timeout: seconds(&options::CLOSE_TIMEOUT)?,
        heartbeat_timeout: seconds(&options::HEARTBEAT_TIMEOUT)?,
        keep_alive_interval: seconds(&options::KEEP_ALIVE_INTERVAL)?,
        keep_alive_max_attempt: u32::try_from(params.number_of(&options::KEEP_ALIVE_MAX_ATTEMPT)?).unwrap_or(u32::MAX),
        dialect: params.text_of(&options::STATE_DIALECT).unwrap_or_default().parse::<Dialect>()?,
        ..Settings::new(count(params.min_nodes()), count(params.max_nodes()))
    };
    settings.check()?;
    let address = match params.text_of(&options::LOCAL_ADDR) {
        Some(address) if address.len() <= super::pickle::MAX_ADDRESS => address.to_owned(),
        Some(_) => return Err(Error::InvalidArgument("The local address is too long.".to_owned())),
        None => uname().nodename().to_string_lossy().into_owned(),
    };
    Ok((settings, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(config: &str) -> Result<(Settings, String)> {
        let mut params = Params::new("etcd", "", "run", 1, 2)?;
        if !config.is_empty() {
            params.set_config(config)?;
        }
        read(&params)
    }

    #[test]
    fn defaults_are_pytorchs() {
        let (settings, address) = with("").unwrap();
        assert_eq!(settings, Settings::new(1, 2));
        assert!(!address.is_empty());
    }

    #[test]
    fn options_are_read_and_checked() {
        let (settings, address) =
            with("join_timeout=7,keep_alive_max_attempt=2,state_dialect=1.13,local_addr=n1").unwrap();
        assert_eq!((settings.join_timeout, settings.keep_alive_max_attempt), (Duration::from_secs(7), 2));
        assert_eq!((settings.dialect, address.as_str()), (Dialect::TORCH_1_13, "n1"));
        for (config, part) in [
            ("join_timeout=0", "'join_timeout' must be between 1 and"),
            ("last_call_timeout=x", "'last_call_timeout' does not represent a valid integer value."),
            ("keep_alive_interval=-1", "'keep_alive_interval' must be between 1 and"),
            ("keep_alive_max_attempt=0", "'keep_alive_max_attempt' must be between 1 and 1000000."),
            ("state_dialect=3", "The state dialect must be"),
        ] {
            let Err(Error::InvalidArgument(message)) = with(config) else { panic!("{config} is taken") };
            assert!(message.contains(part), "{message}");
        }
        let long = format!("local_addr={}", "x".repeat(2000));
        assert!(matches!(with(&long), Err(Error::InvalidArgument(_))));
    }
}
