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
