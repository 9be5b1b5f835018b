//! The tokens of a development cluster, one for each role.

use super::folder::Folder;
use crate::cli::{Failure, secret_file};
use hapi_registry_state::Role;

/// One token for each role.
pub(super) struct Tokens(pub(super) Vec<(Role, String)>);

impl Tokens {
    /// Writes them where a shell can read them, for their owner only.
    pub(super) fn save(&self, folder: &Folder) -> Result<(), Failure> {
        let path = folder.tokens();
        if path.exists() {
            // Of a first run that was interrupted.
            std::fs::remove_file(&path)
                .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        }
        secret_file::create(&path, &self.lines("export "))
    }

    /// What the first run says of them; later ones do not show them again.
    pub(super) fn introduce(&self, folder: &Folder) -> String {
        let path = folder.tokens();
        format!("Tokens, one for each role, kept in {}:\n\n{}", path.display(), self.lines("  "))
    }

    fn lines(&self, before: &str) -> String {
        self.0.iter().map(|(role, text)| format!("{before}{}={text}\n", variable(*role))).collect()
    }
}

/// The variable that holds the token of a role.
pub(super) fn variable(role: Role) -> String {
    format!("HAPI_{}_TOKEN", role.as_str().to_uppercase())
}
