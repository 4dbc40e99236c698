import { matches, validateFilter, validateTopic } from 'it-mqtt'

console.log(validateTopic('jobs/1'))
console.log(validateFilter('jobs/#/done'))
console.log(matches('#', '$SYS/uptime'), matches('$share/workers/jobs/#', 'jobs/7'))
