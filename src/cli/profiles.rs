//! `latchkey profile …`

use clap::Subcommand;
use serde_json::json;

use super::failure::{Done, Failure};
use super::output::{Output, say, table};
use crate::profile::{BUILT_IN, Profile};

#[derive(Subcommand)]
pub enum Command {
    /// Show the profiles inside this program
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Look for gaps and contradictions in a profile
    Check {
        /// Path of a TOML file, or the name of a built-in profile
        file: String,
        #[command(flatten)]
        output: Output,
    },
    /// Print a built-in profile with every setting explained, to begin one's own from
    Show {
        /// Name of a built-in profile
        name: String,
    },
}

/// Does it.
pub fn run(command: Command) -> Done {
    match command {
        Command::List { output } => {
            let all: Vec<Profile> = BUILT_IN.iter().map(|(_, text)| Profile::parse(text)).collect::<Result<_, _>>()?;
            let value = all.iter().map(|profile| json!({"name": profile.name, "description": profile.description})).collect();
            let rows: Vec<Vec<String>> = all.iter().map(|profile| vec![profile.name.clone(), profile.description.clone()]).collect();
            output.print(&value, || table(&["NAME", "DESCRIPTION"], &rows));
        }
        Command::Check { file, output } => {
            let profile = Profile::load(&file).map_err(|e| Failure::of_profile(&file, e))?;
            let (name, routes, limits) = (&profile.name, profile.routes.len(), profile.limits.len());
            let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
            output.print(&json!({"name": name, "description": profile.description, "routes": routes, "limits": limits}), || {
                format!("The profile {name} is complete: {}, {}.", plural(routes, "route"), plural(limits, "limit"))
            });
        }
        Command::Show { name } => match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            Some((_, text)) => say(text.trim_end()),
            None => {
                let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                return Err(Failure::wrong(format!("There is no built-in profile {name:?}; there is {}.", names.join(", "))));
            }
        },
    }
    Ok(())
}
