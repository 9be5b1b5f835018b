//! The flags of `serve`, made from the table of keys: each key stands in one place only.

use crate::config::{Config, KEYS, Key, Kind, Layer};
use clap::{Arg, ArgAction, ArgMatches, Command, Error};

/// The settings that were given as flags.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) layers: Vec<Layer>,
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let defaults = toml::Value::try_from(Config::default()).ok();
        let args = KEYS.iter().map(|key| arg(key, defaults.as_ref()));
        command.next_help_heading("Settings of this node (variable, key of the file)").args(args)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let text =
            |key: &Key| matches.get_many::<String>(key.name).map(|texts| texts.cloned().collect::<Vec<_>>());
        let layers = KEYS.iter().filter_map(|key| Some(Layer::flag(key, text(key)?.join(","))));
        Ok(Self { layers: layers.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.layers.extend(Self::from_arg_matches(matches)?.layers);
        Ok(())
    }
}

fn arg(key: &'static Key, defaults: Option<&toml::Value>) -> Arg {
    let default = defaults.and_then(|defaults| default(key, defaults));
    let default = default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
    let help = format!("{}{default} ({}, `{}`)", key.help, key.variable(), key.name);
    let arg = Arg::new(key.name).long(key.flag).value_name(key.value).help(help);
    match key.kind {
        Kind::Text | Kind::Number | Kind::Ratio | Kind::Json => arg.action(ArgAction::Set),
        Kind::List => arg.action(ArgAction::Append),
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
    }
}

/// The default as people would type it; none for what has to be given.
fn default(key: &Key, defaults: &toml::Value) -> Option<String> {
    let value = key.name.split('.').try_fold(defaults, |value, part| value.get(part))?;
    match value {
        toml::Value::Array(items) if items.is_empty() => None,
        toml::Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}
