"""tool.py NSPACE: the Python bindings as a tool that searches for its server, and finds NSPACE there."""
import sys

import pmix

tool = pmix.PMIxTool()
status, me = tool.init([])
assert status == pmix.PMIX_SUCCESS, status
status, found = tool.query([{"keys": [pmix.PMIX_QUERY_NAMESPACES], "qualifiers": []}])
assert status == pmix.PMIX_SUCCESS, status
assert any(sys.argv[1] in str(each) for each in found), found
assert tool.finalize() == pmix.PMIX_SUCCESS
