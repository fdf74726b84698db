// The script of a report. Everything that it shows is in the page; names from models become text, never markup.
import { showChanges } from './change-table.js';
import { showSites } from './site-viewer.js';
import { sortTables } from './sort-tables.js';
import { offerTheme } from './theme.js';

offerTheme();
sortTables();
showChanges();
showSites();
