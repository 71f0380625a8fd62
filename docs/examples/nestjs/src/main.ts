// The first import, so that loading the application is watched too.
import { monitor } from './watch.js'
import 'reflect-metadata'
import { Controller, Get, Module, type OnApplicationShutdown } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'

@Controller()
class Shop implements OnApplicationShutdown {
  @Get()
  hello(): string {
    return 'hello\n'
  }

  @Get('report')
  report(): string {
    return `${renderReport()} rows\n`
  }

  async onApplicationShutdown(): Promise<void> {
    await monitor.stop()
  }
}

@Module({ controllers: [Shop] })
class ShopModule {}

const app = await NestFactory.create(ShopModule)
app.enableShutdownHooks()
await app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1')
console.log(`listens on port ${app.getHttpServer().address().port}`)

/** Uses the CPU for 200 ms. */
function renderReport(): number {
  const end = performance.now() + 200
  let rows = 0
  while (performance.now() < end) rows += 1
  return rows
}
