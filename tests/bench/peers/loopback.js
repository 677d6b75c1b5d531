// SPDX-License-Identifier: Apache-2.0
// Portkey's server has no option for its address; everything here stays on the loopback.
const net = require('node:net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (first, ...rest) {
	if (typeof first === 'number' || typeof first === 'string')
		return listen.call(this, { port: Number(first), host: '127.0.0.1' }, rest.find((x) => typeof x === 'function'));
	return listen.call(this, Object.assign({}, first, { host: '127.0.0.1' }), ...rest);
};
