import { COMMITTED, describeForms } from './form-checks.js';

describeForms(COMMITTED);
